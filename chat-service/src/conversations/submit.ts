import type { CommandDraft, CommandWriter } from '@parley/platform/command-writer/command-writer'
import type { Failure } from '@parley/proto/errors'

export interface Accepted {
  ok: true
  seq: number
  /** Milliseconds since 1970. */
  at: number
  /** The id was accepted before, with this content. */
  duplicate: boolean
}

/** Writes one command and waits for its answer; the writer bounds the wait. `unavailable` means *unknown*. */
export function submit(
  writer: Pick<CommandWriter, 'submit'>,
  draft: CommandDraft,
): Promise<Accepted | Failure> {
  return new Promise((resolve) => {
    const taken = writer.submit(draft, (frame) => {
      if (frame.type === 'ack') {
        const { seq, at, duplicate = false } = frame
        resolve({ ok: true, seq, at, duplicate })
        return
      }
      const { code, message, retryAfterMs } = frame
      const refused: Failure = { ok: false, code, message }
      if (retryAfterMs !== undefined) refused.retryAfterMs = retryAfterMs
      resolve(refused)
    })
    if (!taken.ok) resolve(taken)
  })
}
