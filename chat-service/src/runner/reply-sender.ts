import { create } from '@bufbuild/protobuf'
import type { Logger } from '@parley/platform/process/logs'
import type { RpcConnector } from '@parley/platform/rpc/connector'
import { type Reply, ReplySchema, ReplyService } from '@parley/proto/rpc/replies_pb'

export interface ReplySenderBounds {
  /** Replies that wait for one process; beyond, the oldest are given up and their clients ask again. */
  maxWaiting: number
  /** Replies in one call. */
  maxBatch: number
  timeoutMs: number
}

export interface ReplySenderParts {
  logger: Logger
  bounds: ReplySenderBounds
  /** Counts replies that nobody could be given. */
  givenUp: { inc(count: number): void }
}

/**
 * Outcomes back to the processes that wrote the commands: one call in flight an address, in order, many replies a
 * call. A reply that can't be delivered is given up: to its client the outcome is then unknown, and a retry with the
 * same id gets it ([G2]).
 */
export class ReplySender {
  readonly #rpc: RpcConnector
  readonly #logger: Logger
  readonly #bounds: ReplySenderBounds
  readonly #givenUp: { inc(count: number): void }
  #queues = new Map<string, { waiting: Reply[]; sending: boolean }>()

  constructor(rpc: RpcConnector, parts: ReplySenderParts) {
    this.#rpc = rpc
    this.#logger = parts.logger
    this.#bounds = parts.bounds
    this.#givenUp = parts.givenUp
  }

  add(address: string, correlation: number, frame: Uint8Array): void {
    let queue = this.#queues.get(address)
    if (queue === undefined) {
      queue = { waiting: [], sending: false }
      this.#queues.set(address, queue)
    }
    if (queue.waiting.length >= this.#bounds.maxWaiting) {
      queue.waiting.shift()
      this.#givenUp.inc(1)
    }
    queue.waiting.push(create(ReplySchema, { correlation, frame }))
  }

  flush(): void {
    for (const [address, queue] of this.#queues) {
      if (queue.sending || queue.waiting.length === 0) continue
      queue.sending = true
      void this.#send(address, queue.waiting).finally(() => {
        queue.sending = false
        if (queue.waiting.length === 0) this.#queues.delete(address)
        else this.flush()
      })
    }
  }

  async #send(address: string, waiting: Reply[]): Promise<void> {
    while (waiting.length > 0) {
      const replies = waiting.splice(0, this.#bounds.maxBatch)
      try {
        const client = this.#rpc.client(ReplyService, address)
        await client.deliver({ replies }, { timeoutMs: this.#bounds.timeoutMs })
      } catch (error) {
        this.#givenUp.inc(replies.length)
        this.#logger.warn({ err: error, address, replies: replies.length }, 'replies not delivered')
      }
    }
  }
}
