import { type ErrorCode, type Failure, failure } from '@parley/proto/errors'

/** Codes that mean: not now. Whoever gets one for a send comes again with the same id. */
const loadCodes: ReadonlySet<ErrorCode> = new Set([
  'rate_limited',
  'too_many_inflight',
  'overloaded',
  'unavailable',
] satisfies ErrorCode[])

interface Refusal {
  /** The first command refused; all later ones of its conversation wait for it. */
  id: string
  code: ErrorCode
  retryAfterMs: number | undefined
  until: number
}

/**
 * [G5] Which conversations one connection may not send to before a refused command has come again. Pure: time comes
 * with each call, in milliseconds.
 */
export class Refusals {
  readonly #byConversation = new Map<string, Refusal>()
  readonly #holdMs: number
  readonly #max: number

  constructor(bounds: { holdMs: number; max: number }) {
    this.#holdMs = bounds.holdMs
    this.#max = bounds.max
  }

  /** Why a command may not pass; null lets it pass, and lets go of the conversation when it is the one awaited. */
  check(conversation: string, id: string, now: number): Failure | null {
    const refusal = this.#byConversation.get(conversation)
    if (refusal === undefined) return null
    if (refusal.id === id || now >= refusal.until) {
      this.#byConversation.delete(conversation)
      return null
    }
    const message = `an earlier command to this conversation, ${refusal.id}, must come again first`
    return failure(refusal.code, message, refusal.retryAfterMs)
  }

  /** Notes that a command was refused. False when too many conversations are held to note one more. */
  note(conversation: string, id: string, refused: Omit<Failure, 'ok'>, now: number): boolean {
    if (!loadCodes.has(refused.code)) return true
    const held = this.#byConversation.get(conversation)
    if (held !== undefined && now < held.until) return true
    if (this.#byConversation.size >= this.#max) this.#sweep(now)
    if (this.#byConversation.size >= this.#max) return false
    const { code, retryAfterMs } = refused
    this.#byConversation.set(conversation, { id, code, retryAfterMs, until: now + this.#holdMs })
    return true
  }

  #sweep(now: number): void {
    for (const [conversation, { until }] of this.#byConversation) {
      if (now >= until) this.#byConversation.delete(conversation)
    }
  }
}
