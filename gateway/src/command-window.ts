import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import type { SendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { type Failure, failure } from '@parley/proto/errors'
import type { Ack, ErrorFrame } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { Refusals } from './refusals.ts'

export interface CommandWindowParts {
  bounds: { inFlight: number; refusals: number }
  limiter: SendLimiter
  submit(draft: CommandDraft): { ok: true } | Failure
}

/** One connection's way into the log: its window, its user's rate, and the order that refusals must not break ([G5]). */
export class CommandWindow {
  /** Set when the gateway goes away: what is in flight is still answered. */
  draining = false
  /** More conversations are held back than can be kept, so the connection must end. */
  overfull = false
  /** Commands whose answer is still to come. */
  inFlight = 0
  readonly #parts: CommandWindowParts
  readonly #refusals: Refusals

  constructor(parts: CommandWindowParts) {
    this.#parts = parts
    this.#refusals = new Refusals({ holdMs: limits.refusalMs, max: parts.bounds.refusals })
  }

  /** Null when the command was taken in; `replied` follows. */
  offer(draft: CommandDraft, now: number): Failure | null {
    const refused = this.#admit(draft, now)
    if (refused === null) this.inFlight += 1
    else this.#note(draft.conversation, draft.id, refused, now)
    return refused
  }

  replied(conversation: string, frame: Ack | ErrorFrame, now: number): void {
    this.inFlight -= 1
    if (frame.type === 'error' && frame.id !== undefined) {
      this.#note(conversation, frame.id, frame, now)
    }
  }

  /** [G5] Whatever refuses a command here is noted, so that none after it overtakes. */
  #admit(draft: CommandDraft, now: number): Failure | null {
    if (this.draining) return failure('unavailable', 'this gateway is going away')
    const held = this.#refusals.check(draft.conversation, draft.id, now)
    if (held !== null) return held
    const { bounds, limiter, submit } = this.#parts
    if (this.inFlight >= bounds.inFlight) {
      const message = `at most ${bounds.inFlight} commands may await their answer`
      return failure('too_many_inflight', message)
    }
    const waitMs = limiter.take(draft.sender, now)
    if (waitMs > 0) return failure('rate_limited', 'this user sends too fast', waitMs)
    const submitted = submit(draft)
    return submitted.ok ? null : submitted
  }

  #note(conversation: string, id: string, refused: Omit<Failure, 'ok'>, now: number): void {
    if (!this.#refusals.note(conversation, id, refused, now)) this.overfull = true
  }
}
