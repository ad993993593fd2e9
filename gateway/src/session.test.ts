import type { CommandDraft } from '@parley/platform/command-writer/command-writer'
import { createSendLimiter } from '@parley/platform/send-limiter/send-limiter'
import { type Failure, failure } from '@parley/proto/errors'
import type {
  Ack,
  ClientFrame,
  ErrorFrame,
  Read,
  ServerFrame,
  Sync,
  Typing,
  Watch,
} from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { Session } from './session.ts'
import { defaultSessionBounds, type SessionBounds } from './session-ports.ts'

const user = newId()
const sessionId = newId()
const conversation = newId()
const expiresAt = 1_000_000
const unlimited = { perSecond: 0, burst: 1 }

let sent: ServerFrame[]
let done: unknown[]
let submitted: CommandDraft[]
let synced: Sync[]
let asked: (Read | Typing | Watch)[]
let answerOfLog: { ok: true } | Failure

beforeEach(() => {
  sent = []
  done = []
  submitted = []
  synced = []
  asked = []
  answerOfLog = { ok: true }
})

function open(more: Partial<SessionBounds> = {}, rate = unlimited): Session {
  return new Session(
    {
      send: (frame) => void sent.push(frame),
      close: (reason) => void done.push(`close ${reason}`),
      authenticate: ({ token }) => void done.push(`authenticate ${token}`),
      verify: (token) => void done.push(`verify ${token}`),
      submit(draft) {
        if (answerOfLog.ok) submitted.push(draft)
        return answerOfLog
      },
      sync: (request) => void synced.push(request),
      read: (request) => void asked.push(request),
      typing: (request) => void asked.push(request),
      watch: (request) => void asked.push(request),
    },
    { ...defaultSessionBounds, frames: unlimited, ...more },
    createSendLimiter(rate),
    0,
  )
}
function give(session: Session, frames: ClientFrame[], now = 1, bytes = 100): void {
  const decoded = frames.map((frame) => ({ ok: true as const, frame }))
  session.receive({ ok: true, frames: decoded }, bytes, now)
}
function ready(more: Partial<SessionBounds> = {}, rate = unlimited): Session {
  const session = open(more, rate)
  give(session, [hello])
  session.ready({ user, session: sessionId, expiresAt }, 1)
  sent = []
  done = []
  return session
}
const hello: ClientFrame = { type: 'hello', token: 't', device: 'd' }
const send = (id = newId(), to = conversation): ClientFrame => ({
  type: 'send',
  id,
  conversation: to,
  body: { text: 'x' },
})
const codes = () => sent.map((frame) => (frame.type === 'error' ? frame.code : frame.type))
const ackOf = (id: string): Ack => ({ type: 'ack', id, conversation, seq: 1, at: 1 })
const unavailable = (id: string): ErrorFrame => ({
  type: 'error',
  code: 'unavailable',
  message: '',
  retryable: true,
  id,
})

describe('before hello', () => {
  test('another frame is `unauthenticated` and closes 4001', () => {
    give(open(), [{ type: 'ping' }, hello])
    expect(codes()).toEqual(['unauthenticated'])
    expect(done).toEqual(['close unauthenticated'])
  })

  test('[C3] no hello in time closes 4004', () => {
    const session = open()
    session.tick(4_999)
    expect(done).toEqual([])
    session.tick(5_000)
    expect(done).toEqual(['close noHello'])
  })

  test('[C5] a hello with a wrong field is `invalid` and the link stays', () => {
    const session = open()
    const wrong = { ok: false as const, code: 'invalid' as const, message: 'm', type: 'hello' }
    session.receive({ ok: true, frames: [wrong] }, 10, 1)
    give(session, [hello])
    expect(codes()).toEqual(['invalid'])
    expect(done).toEqual(['authenticate t'])
  })

  test('bytes that are no frame are `bad_frame` and close 4000', () => {
    open().receive(failure('bad_frame', 'no'), 10, 1)
    expect(codes()).toEqual(['bad_frame'])
    expect(done).toEqual(['close badFrame'])
  })
})

describe('while the hello is looked into', () => {
  test('[C5] frames wait and are answered in order after welcome', () => {
    const session = open()
    give(session, [hello, { type: 'ping', ref: '1' }, { type: 'ping', ref: '2' }])
    expect(sent).toEqual([])
    session.ready({ user, session: sessionId, expiresAt }, 1)
    expect(sent.map((frame) => 'ref' in frame && frame.ref)).toEqual(['1', '2'])
  })

  test('[G8] what waits is bounded in frames and in bytes', () => {
    const many = open()
    give(many, [hello])
    give(many, Array<ClientFrame>(64).fill({ type: 'ping' }))
    expect(done).toEqual(['authenticate t'])
    give(many, [{ type: 'ping' }])
    expect(done).toEqual(['authenticate t', 'close tooMany'])
    const large = open()
    give(large, [hello])
    give(large, [{ type: 'ping' }], 1, 64 * 1024 + 1)
    expect(done.at(-1)).toBe('close tooMany')
  })

  test('[C6] a second hello is `invalid` and the link stays, then too', () => {
    const session = open()
    give(session, [hello, hello])
    expect(codes()).toEqual(['invalid'])
    session.ready({ user, session: sessionId, expiresAt }, 1)
    give(session, [hello])
    expect(codes()).toEqual(['invalid', 'invalid'])
    expect(done).toEqual(['authenticate t'])
  })

  test('a hello that is rejected closes, and nothing that waited is done', () => {
    const session = open()
    give(session, [hello, send()])
    session.rejected(failure('token_expired', 'm'), 'expired')
    session.ready({ user, session: sessionId, expiresAt }, 1)
    expect(codes()).toEqual(['token_expired'])
    expect(submitted).toEqual([])
  })
})

describe('a token', () => {
  test('[G11] that expires closes 4002, on a frame or on the clock', () => {
    give(ready(), [{ type: 'ping' }], expiresAt)
    expect(codes()).toEqual(['token_expired'])
    ready().tick(expiresAt)
    expect(codes()).toEqual(['token_expired'])
    expect(done).toEqual(['close expired'])
  })

  test('[C8] that is renewed in time lets the link go on', () => {
    const session = ready()
    give(session, [{ type: 'auth', token: 'new', ref: 'r' }], expiresAt)
    session.tick(expiresAt + 1_000)
    const fresh = { user, session: sessionId, expiresAt: expiresAt * 2 }
    session.renewed({ ok: true, ...fresh }, 'r', expiresAt + 1_000)
    session.tick(expiresAt + 1_000)
    expect(sent).toEqual([{ type: 'ok', ref: 'r' }])
    expect(done).toEqual(['verify new'])
  })

  test('[G11] whose renewal never ends is not waited for', () => {
    const session = ready()
    give(session, [{ type: 'auth', token: 'new' }], expiresAt)
    session.tick(expiresAt + 3_000)
    expect(done).toEqual(['verify new', 'close expired'])
  })

  test('[C8] of another user, or a forged one, closes 4001; an expired one leaves the link as it was', () => {
    for (const result of [
      { ok: true as const, user: newId(), session: sessionId, expiresAt },
      failure('unauthenticated', 'm'),
    ]) {
      const session = ready()
      give(session, [{ type: 'auth', token: 'x', ref: 'r' }])
      session.renewed(result, 'r', 1)
      expect(codes()).toEqual(['unauthenticated'])
      expect(done).toEqual(['verify x', 'close unauthenticated'])
    }
    const session = ready()
    give(session, [{ type: 'auth', token: 'x', ref: 'r' }])
    session.renewed(failure('token_expired', 'm'), 'r', 1)
    expect(sent).toMatchObject([{ code: 'token_expired', ref: 'r' }])
    expect(done).toEqual(['verify x'])
  })

  test('[G11] [C9] revoked: nothing more is processed', () => {
    const session = ready()
    session.revoked()
    give(session, [send()])
    expect(done).toEqual(['close expired'])
    expect(submitted).toEqual([])
  })
})

describe('frames', () => {
  test('ping is answered with the time and the ref', () => {
    const session = ready()
    give(session, [{ type: 'ping', ref: 'r' }, { type: 'ping' }], 7)
    expect(sent).toEqual([
      { type: 'pong', ref: 'r', time: 7 },
      { type: 'pong', time: 7 },
    ])
  })

  test('edit, delete and react are commands like send', () => {
    const session = ready()
    const [id, target] = [newId(), newId()]
    give(session, [
      { type: 'edit', id, conversation, target, body: { text: 'y' }, retry: true },
      { type: 'delete', id, conversation, target },
      { type: 'react', id, conversation, target, emoji: '!' },
      { type: 'react', id, conversation, target, emoji: '!', remove: true },
      { type: 'react', id, conversation, target, emoji: '!', remove: false },
    ])
    const about = { id, conversation, sender: user, target }
    expect(submitted).toEqual([
      { type: 'edit', ...about, body: { text: 'y' } },
      { type: 'delete', ...about },
      { type: 'react', ...about, emoji: '!' },
      { type: 'react', ...about, emoji: '!', remove: true },
      { type: 'react', ...about, emoji: '!' },
    ])
  })

  test('[G10] typing beyond its rate is dropped, or refused where it has a ref', () => {
    const session = ready({ typing: { perSecond: 1, burst: 2 } })
    const typing = { type: 'typing' as const, conversation, active: true }
    give(session, [typing, typing, typing, { ...typing, ref: 'r' }])
    expect(asked).toHaveLength(2)
    expect(sent).toMatchObject([{ code: 'rate_limited', ref: 'r', retryAfterMs: 1_000 }])
    give(session, [typing], 1_001)
    expect(asked).toHaveLength(3)
  })

  test('[G8] watch beyond its rate is refused', () => {
    const session = ready({ watches: { perSecond: 1, burst: 1 } })
    give(session, [
      { type: 'watch', users: [newId()] },
      { type: 'watch', users: [] },
    ])
    expect(asked).toHaveLength(1)
    expect(codes()).toEqual(['rate_limited'])
  })

  test('a frame with a wrong field is answered with its id, and its neighbours are done', () => {
    const session = ready()
    const id = newId()
    const wrong = { ok: false as const, code: 'invalid' as const, message: 'm', type: 'send', id }
    const frames = [wrong, { ok: true as const, frame: send() }]
    session.receive({ ok: true, frames }, 10, 1)
    expect(sent).toMatchObject([{ code: 'invalid', id }])
    expect(submitted).toHaveLength(1)
  })

  test('[G8] [C14] more frames than a connection may send close 4029', () => {
    const session = ready({ frames: { perSecond: 10, burst: 20 } })
    for (let i = 0; i < 19; i++) give(session, [{ type: 'ping' }], 1)
    expect(done).toEqual([])
    give(session, [{ type: 'ping' }, { type: 'ping' }], 1)
    expect(done).toEqual(['close tooMany'])
  })

  test('[G8] more syncs than may be in flight are refused with their ref', () => {
    const session = ready({ syncsInFlight: 1 })
    const sync = (ref: string): ClientFrame => ({ type: 'sync', ref, conversation, after: 0 })
    give(session, [sync('1'), sync('2')])
    session.synced()
    give(session, [sync('3')])
    expect(synced.map(({ ref }) => ref)).toEqual(['1', '3'])
    expect(sent).toMatchObject([{ code: 'too_many_inflight', ref: '2' }])
  })
})

describe('sends', () => {
  test('[G8] [L2] [S7] one more than the window is `too_many_inflight` until one was answered', () => {
    const session = ready()
    const ids = Array.from({ length: 33 }, () => newId())
    for (const id of ids) give(session, [send(id, newId())])
    expect(submitted).toHaveLength(32)
    expect(codes()).toEqual(['too_many_inflight'])
    session.replied(conversation, ackOf(ids[0] as string), 1)
    give(session, [send(newId(), newId())])
    expect(submitted).toHaveLength(33)
  })

  test('[G8] [S8] beyond the rate they are `rate_limited`, with the time until the next', () => {
    const session = ready({}, { perSecond: 10, burst: 2 })
    for (let i = 0; i < 3; i++) give(session, [send(newId(), newId())])
    expect(sent).toMatchObject([{ code: 'rate_limited', retryAfterMs: 100 }])
  })

  test('[G5] [S6] after one is refused for load later ones are, until it comes again', () => {
    const session = ready()
    const [first, second] = [newId(), newId()]
    answerOfLog = failure('overloaded', 'm', 500)
    give(session, [send(first)])
    answerOfLog = { ok: true }
    give(session, [send(second), send(newId(), newId())])
    expect(sent).toMatchObject([
      { code: 'overloaded', id: first, retryAfterMs: 500 },
      { code: 'overloaded', id: second, retryAfterMs: 500 },
    ])
    give(session, [send(first), send(second)])
    expect(submitted.map(({ id }) => id).slice(1)).toEqual([first, second])
  })

  test('[G5] [S6] an answer `unavailable` from the log holds later ones back too', () => {
    const session = ready()
    const [first, second] = [newId(), newId()]
    give(session, [send(first)])
    session.replied(conversation, unavailable(first), 1)
    give(session, [send(second)])
    expect(sent).toMatchObject([{ code: 'unavailable', id: second }])
    give(session, [send(second)], 30_001)
    expect(submitted.map(({ id }) => id)).toEqual([first, second])
  })

  test('[G5] what is wrong in itself holds nothing back', () => {
    const session = ready()
    answerOfLog = failure('invalid', 'm')
    give(session, [send()])
    answerOfLog = { ok: true }
    give(session, [send()])
    expect(submitted).toHaveLength(1)
  })

  test('[G8] more conversations held back than are kept close 4029, so that none is forgotten', () => {
    const session = ready({ refusals: 2 })
    answerOfLog = failure('overloaded', 'm', 1)
    for (let i = 0; i < 2; i++) give(session, [send(newId(), newId())])
    expect(done).toEqual([])
    give(session, [send(newId(), newId())])
    expect(done).toEqual(['close tooMany'])
  })

  test('are refused while draining; what is in flight is still counted', () => {
    const session = ready()
    give(session, [send()])
    session.drain(70)
    give(session, [send(newId(), newId())])
    expect(codes()).toEqual(['drain', 'unavailable'])
    expect(session.inFlight).toBe(1)
  })
})

test('[G5] [S6] any mix of refusals: nothing is accepted between a refusal and that command coming again', () => {
  const turn = fc.record({
    which: fc.nat(7),
    outcome: fc.constantFrom('ok', 'overloaded', 'unavailable later'),
  })
  fc.assert(
    fc.property(fc.array(turn, { minLength: 5, maxLength: 60, size: 'max' }), (turns) => {
      submitted = []
      const session = ready()
      const ids = Array.from({ length: 8 }, () => newId())
      let awaited: string | null = null
      for (const { which, outcome } of turns) {
        const id = ids[which] as string
        answerOfLog = outcome === 'overloaded' ? failure('overloaded', 'm', 1) : { ok: true }
        const before = submitted.length
        give(session, [send(id)])
        const passed = submitted.length > before
        if (awaited !== null && id !== awaited) expect(passed, 'it overtook').toBe(false)
        else if (outcome !== 'overloaded') expect(passed, 'the awaited one may pass').toBe(true)
        if (awaited === null || id === awaited) awaited = outcome === 'ok' ? null : id
        if (!passed) continue
        if (outcome === 'ok') session.replied(conversation, ackOf(id), 1)
        else session.replied(conversation, unavailable(id), 1)
      }
      expect(session.inFlight).toBe(0)
    }),
    { numRuns: 500 },
  )
})
