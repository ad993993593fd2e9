import { type Failure, failure } from '@parley/proto/errors'
import { answer, type Connection } from './connection.ts'
import { errorFrame } from './error-frame.ts'

/** An `ok` that a connection waits for. */
export interface WaitingOk {
  readonly connection: Connection
  readonly ref: string
  readonly at: number
}

/** `ok`s that wait for something to be durable: each is given once, or refused, and none is waited for too long. */
export class WaitingOks {
  readonly #waiting = new Set<WaitingOk>()
  readonly #counts = new WeakMap<Connection, number>()
  readonly #bounds: { perConnection: number; timeoutMs: number }

  constructor(bounds: { perConnection: number; timeoutMs: number }) {
    this.#bounds = bounds
  }

  /** Null when the connection waits for too many already. */
  add(connection: Connection, ref: string, at: number): WaitingOk | null {
    const count = this.#counts.get(connection) ?? 0
    if (count >= this.#bounds.perConnection) return null
    this.#counts.set(connection, count + 1)
    const ok = { connection, ref, at }
    this.#waiting.add(ok)
    return ok
  }

  settle(ok: WaitingOk, result: { ok: true } | Failure): void {
    if (!this.#waiting.delete(ok)) return
    const { connection, ref } = ok
    this.#counts.set(connection, (this.#counts.get(connection) ?? 1) - 1)
    if (!connection.open) return
    answer(connection, result.ok ? { type: 'ok', ref } : errorFrame(result, { ref }))
  }

  /** Refuses what has waited for too long: its outcome is unknown. */
  expire(now: number): void {
    for (const ok of this.#waiting) {
      if (now - ok.at < this.#bounds.timeoutMs) return
      this.settle(ok, failure('unavailable', 'it is not known to be durable yet', 1_000))
    }
  }
}
