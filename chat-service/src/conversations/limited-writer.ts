import type { CommandWriter } from '@parley/platform/command-writer/command-writer'
import type { SendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { failure } from '@parley/proto/errors'

/**
 * [G8] The way into the log at its sender's rate: beyond it `rate_limited`, with the time to come again and nothing
 * written. Every command counts, also one that comes again.
 */
export function limitSends(
  writer: Pick<CommandWriter, 'submit'>,
  limiter: Pick<SendLimiter, 'take'>,
  now: () => number,
): Pick<CommandWriter, 'submit'> {
  return {
    submit(draft, onReply) {
      const waitMs = limiter.take(draft.sender, now())
      if (waitMs > 0) return failure('rate_limited', 'this user sends too fast', waitMs)
      return writer.submit(draft, onReply)
    },
  }
}
