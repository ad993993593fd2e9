import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import { createSendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { newId } from '@parley/proto/ids'
import { expect, test } from 'vitest'
import { limitSends } from './limited-writer.ts'

const [ann, ben, conversation] = [newId(), newId(), newId()]
const send = (sender: string, id = newId()): CommandDraft => ({
  type: 'send',
  id,
  conversation,
  sender,
  body: { text: 'a' },
})

/** At the log's side of a limiter of 2 at once and 10 a second. */
function limited(limiter = createSendLimiter({ perSecond: 10, burst: 2 })) {
  const clock = { now: 1_900_000_000_000 }
  const written: string[] = []
  const writer = limitSends(
    {
      submit({ id }) {
        written.push(id)
        return { ok: true }
      },
    },
    limiter,
    () => clock.now,
  )
  return { clock, written, offer: (draft: CommandDraft) => writer.submit(draft, () => {}) }
}

test('[G8] beyond its sender’s rate a command is `rate_limited` with nothing written', () => {
  const { clock, written, offer } = limited()
  const drafts = [send(ann), send(ann), send(ann)]
  const refused = { ok: false, code: 'rate_limited', retryAfterMs: 100 }
  expect(drafts.map(offer)).toMatchObject([{ ok: true }, { ok: true }, refused])
  expect(offer(send(ben))).toEqual({ ok: true })
  expect(written).not.toContain(drafts[2]?.id)
  clock.now += 100
  expect(drafts.slice(2).map(offer)).toEqual([{ ok: true }])
})

test('[G8] the same id again counts too', () => {
  const { offer } = limited()
  const draft = send(ann)
  expect([draft, draft, draft].map((one) => offer(one).ok)).toEqual([true, true, false])
})

test('[G8] what else takes sends of this user counts, where they share a limiter', () => {
  const limiter = createSendLimiter({ perSecond: 10, burst: 2 })
  const { clock, offer } = limited(limiter)
  limiter.take(ann, clock.now)
  expect([send(ann), send(ann)].map((one) => offer(one).ok)).toEqual([true, false])
})
