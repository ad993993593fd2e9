import { randomInt } from 'node:crypto'
import type { Log } from '@parley/platform/ports/log'
import type { Log as Logger } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import { codecFor, readTrustedFrame } from '@parley/proto/codec'
import { encodeCommandRecord } from '@parley/proto/commands'
import { type ErrorCode, errors, failure } from '@parley/proto/errors'
import type { Ack, ErrorFrame, ServerFrame } from '@parley/proto/frames'
import { partitionOf } from '@parley/proto/partition'
import { recordSchema, topics } from '@parley/proto/record-headers'
import { ReplyService } from '@parley/proto/rpc/replies_pb'
import { CommandBatches, type Pending } from './command-batches.ts'
import type { CommandWriter } from './command-writer.ts'
import { commandWriterMetrics } from './metrics.ts'

export interface CommandWriterOptions {
  log: Log
  /** Where `routes` are served: replies are sent there. */
  address: string
  /** [R12] Stamped into every command. */
  rules: number
  /** Milliseconds since 1970; stamped as `at`. The system's clock unless told; it may step. */
  now?: () => number
  /** Milliseconds since some moment, never falling: what replies are timed by. `performance.now` unless told. */
  elapsedMs?: () => number
  /** Commands taken in and not answered; beyond, `overloaded`. */
  maxWaiting: number
  maxWaitingBytes: number
  /** A record of several commands is at most this large. */
  maxRecordBytes: number
  replyTimeoutMs: number
  logger: Logger
  metrics: Metrics
}

const msgpack = codecFor('parley.v1.msgpack')

export function createCommandWriter(options: CommandWriterOptions): CommandWriter {
  const { log, logger, replyTimeoutMs, now = Date.now } = options
  const { elapsedMs = () => performance.now() } = options
  const partitions = log.partitions(topics.commands)
  const metrics = commandWriterMetrics(options.metrics)
  const batches = new CommandBatches({
    ...options,
    partitions,
    partitionOf: (conversation) => partitionOf(conversation, partitions),
    firstCorrelation: randomInt(2 ** 32),
  })
  const due = new Set<number>()
  let onEmpty: (() => void)[] = []
  let closed = false
  // One sweep for all: its timer stands only while someone waits.
  let sweep: NodeJS.Timeout | null = null

  function settle(pending: Pending, frame: Ack | ErrorFrame, bytes: Uint8Array): void {
    metrics.answered(frame.type === 'ack' ? 'ack' : frame.code, elapsedMs() - pending.sinceMs)
    try {
      pending.onReply(frame, bytes)
    } catch (error) {
      logger.error({ err: error }, 'who waited for a reply failed on it')
    }
  }

  function giveUp(unanswered: readonly Pending[], message: string): void {
    for (const pending of unanswered) {
      const frame = errorFrame('unavailable', message, pending.command.id)
      settle(pending, frame, msgpack.encodeServerFrame(frame))
    }
    settleEmpty()
  }

  function settleEmpty(): void {
    if (batches.waiting > 0) return
    if (sweep !== null) clearInterval(sweep)
    sweep = null
    const waiters = onEmpty
    onEmpty = []
    for (const done of waiters) done()
  }

  function startSweep(): void {
    sweep ??= setInterval(
      () => {
        const late = batches.expire(elapsedMs() - replyTimeoutMs)
        if (late.length > 0) giveUp(late, 'no reply came in time: the outcome is unknown')
      },
      Math.max(1, Math.min(500, replyTimeoutMs / 4)),
    ).unref()
  }

  /** Whatever came in this turn of the loop leaves together. */
  function schedule(partition: number): void {
    if (due.size === 0) setImmediate(flush)
    due.add(partition)
  }

  function flush(): void {
    const partitions = [...due]
    due.clear()
    for (const partition of partitions) void append(partition)
  }

  async function append(partition: number): Promise<void> {
    const batch = batches.take(partition)
    if (batch.length === 0) return
    const began = performance.now()
    try {
      const value = encodeCommandRecord({
        replyTo: options.address,
        commands: batch.map((pending) => pending.command),
      })
      await log.append(topics.commands, partition, [{ headers: { schema: recordSchema }, value }])
      metrics.appended(batch.length, value.length, performance.now() - began)
      batches.appended(partition)
    } catch (error) {
      metrics.appendFailed()
      logger.warn({ err: error, partition, commands: batch.length }, 'append of commands failed')
      giveUp(batches.rejected(partition, batch), 'the log did not take it: the outcome is unknown')
    }
    schedule(partition)
  }

  function deliver(correlation: number, bytes: Uint8Array): void {
    const frame: ServerFrame = readTrustedFrame(bytes)
    if (frame.type !== 'ack' && frame.type !== 'error') {
      throw new Error(`a reply is an ack or an error, not ${frame.type}`)
    }
    const pending = batches.answer(correlation, frame.id)
    if (pending === null) metrics.strayReply()
    else settle(pending, frame, bytes)
  }

  return {
    submit(draft, onReply) {
      if (closed) return failure('unavailable', 'this process is going away')
      const offered = batches.offer(draft, { at: now(), sinceMs: elapsedMs() }, onReply)
      if (!offered.ok) return offered
      startSweep()
      schedule(offered.partition)
      return { ok: true }
    },
    routes: (router) => {
      router.service(ReplyService, {
        deliver: ({ replies }) => {
          for (const { correlation, frame } of replies) {
            try {
              deliver(correlation, frame)
            } catch (error) {
              // One broken reply must not take its neighbours' with it; its command times out.
              logger.error({ err: error }, 'a reply could not be read')
            }
          }
          settleEmpty()
          return {}
        },
      })
    },
    drained: () =>
      batches.waiting === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            onEmpty.push(resolve)
          }),
    async close() {
      closed = true
      giveUp(batches.expire(Number.POSITIVE_INFINITY), 'this process is going away')
    },
  }
}

function errorFrame(code: ErrorCode, message: string, id: string): ErrorFrame {
  return { type: 'error', code, message, retryable: errors[code].retryable, id }
}
