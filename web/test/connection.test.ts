import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createSession } from '../public/session.js'
import { createSocket } from '../public/socket.js'
import { memoryStorage } from './memory-storage.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const settle = () => vi.advanceTimersByTimeAsync(0)

type Frame = Record<string, unknown>

class FakeWebSocket {
  static OPEN = 1
  static made: FakeWebSocket[] = []
  readyState = 0
  sent: Frame[] = []
  onopen = () => {}
  onmessage = (_message: { data: string }) => {}
  onclose = (_closed: { code: number }) => {}
  url: string
  constructor(url: string) {
    this.url = url
    FakeWebSocket.made.push(this)
  }
  send(text: string) {
    this.sent.push(JSON.parse(text))
  }
  close(code = 1006) {
    this.readyState = 3
    this.onclose?.({ code })
  }
  open() {
    this.readyState = 1
    this.onopen()
  }
  say(...frames: object[]) {
    this.onmessage({ data: JSON.stringify(frames) })
  }
}

const welcome = {
  type: 'welcome',
  user: 'u',
  session: 's',
  time: 1_000,
  limits: { inFlight: 32, idleSeconds: 60, textLength: 8_000, bodyBytes: 16_384 },
  conversations: [],
  more: false,
}

function connect({
  gateway = { ok: true, body: { urls: ['ws://g/ws'] } },
}: {
  gateway?: Frame
} = {}) {
  FakeWebSocket.made = []
  vi.stubGlobal('WebSocket', FakeWebSocket)
  const session = {
    token: async () => ({ ok: true, token: 't1' }),
    refresh: vi.fn(async () => ({ ok: true, token: 't2' })),
    dueInMs: () => 600_000,
  }
  const states: { kind: string }[] = []
  const on = { state: (s) => states.push(s), welcome: vi.fn(), frame: vi.fn(), lost: vi.fn() }
  const api = { gateway: vi.fn(async () => gateway) }
  const clock = { now: Date.now, hear: vi.fn() }
  const socket = createSocket({ session, api, clock, device: 'd', on })
  const last = () => FakeWebSocket.made.at(-1) as FakeWebSocket
  return { socket, session, states, on, api, last }
}

async function online(parts) {
  parts.socket.start()
  await settle()
  parts.last().open()
  parts.last().say(welcome)
}

describe('the connection', () => {
  test('says hello with its token and device, and is online after welcome', async () => {
    const parts = connect()
    await online(parts)
    expect(parts.last().sent[0]).toMatchObject({ type: 'hello', token: 't1', device: 'd' })
    expect(parts.states.map(({ kind }) => kind)).toEqual(['connecting', 'online'])
    expect(parts.on.welcome).toHaveBeenCalledOnce()
  })

  test('[C15] waits with full jitter, from 1 s doubling to 30 s', async () => {
    const parts = connect({ gateway: { ok: false, code: 'unreachable', message: 'away' } })
    vi.spyOn(Math, 'random').mockReturnValue(1)
    const waits: number[] = []
    parts.socket.start()
    for (let i = 0; i < 8; i++) {
      await settle()
      const { kind, untilMs } = parts.socket.state()
      expect(kind).toBe('waiting')
      waits.push(untilMs - Date.now())
      await vi.advanceTimersByTimeAsync(waits.at(-1) as number)
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000])
  })

  test('[C15] any wait below that is as likely', async () => {
    const parts = connect({ gateway: { ok: false, code: 'unreachable', message: 'away' } })
    vi.spyOn(Math, 'random').mockReturnValue(0.25)
    parts.socket.start()
    await settle()
    expect(parts.socket.state().untilMs - Date.now()).toBe(250)
  })

  test('after a connection that lasted, the wait begins small again', async () => {
    const parts = connect({ gateway: { ok: false, code: 'unreachable', message: 'away' } })
    vi.spyOn(Math, 'random').mockReturnValue(0.5)
    parts.socket.start()
    await vi.advanceTimersByTimeAsync(6_900)
    parts.api.gateway.mockResolvedValue({ ok: true, body: { urls: ['ws://g/ws'] } })
    await vi.advanceTimersByTimeAsync(8_000)
    parts.last().open()
    parts.last().say(welcome)
    parts.last().say({ type: 'pong', time: 1 })
    await vi.advanceTimersByTimeAsync(10_000)
    parts.last().close(1006)
    expect(parts.socket.state()).toMatchObject({ kind: 'waiting', untilMs: Date.now() + 500 })
  })

  test('[C15] comes again when `drain` says', async () => {
    const parts = connect()
    await online(parts)
    parts.last().say({ type: 'drain', reconnectAfterMs: 7_000 })
    parts.last().close(4013)
    expect(parts.socket.state()).toMatchObject({ kind: 'waiting', untilMs: Date.now() + 7_000 })
    await vi.advanceTimersByTimeAsync(6_999)
    expect(FakeWebSocket.made).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(FakeWebSocket.made).toHaveLength(2)
  })

  test('[C15] 4002: the token is renewed, then it connects again', async () => {
    const parts = connect()
    await online(parts)
    parts.last().close(4002)
    await settle()
    expect(parts.session.refresh).toHaveBeenCalledExactlyOnceWith('t1')
    expect(FakeWebSocket.made).toHaveLength(2)
  })

  test('4001 again and again is no loop', async () => {
    const parts = connect()
    parts.socket.start()
    for (let i = 0; i < 3; i++) {
      await settle()
      parts.last().open()
      parts.last().close(4001)
    }
    await settle()
    expect(parts.socket.state().kind).toBe('waiting')
    expect(parts.session.refresh).toHaveBeenCalledTimes(2)
  })

  test.each([4000, 4003, 4004, 4009])(
    '[C15] %i: it stays away until the user asks',
    async (code) => {
      const parts = connect()
      await online(parts)
      parts.last().close(code)
      await vi.advanceTimersByTimeAsync(120_000)
      expect(parts.socket.state().kind).toBe('stopped')
      expect(FakeWebSocket.made).toHaveLength(1)
      parts.socket.retryNow()
      await settle()
      expect(FakeWebSocket.made).toHaveLength(2)
    },
  )

  test('a link that answers no ping is left, and what was asked on it fails', async () => {
    const parts = connect()
    await online(parts)
    await vi.advanceTimersByTimeAsync(19_000)
    const asked = parts.socket.ask({ type: 'sync', conversation: 'c', after: 0 })
    await vi.advanceTimersByTimeAsync(11_500)
    expect(await asked).toMatchObject({ ok: false, code: 'unreachable', retryable: true })
    expect(parts.on.lost).toHaveBeenCalledOnce()
  })

  test('an answer goes to who asked', async () => {
    const parts = connect()
    await online(parts)
    const asked = parts.socket.ask({ type: 'sync', conversation: 'c', after: 0 })
    const { ref } = parts.last().sent.at(-1)
    parts.last().say({ type: 'synced', ref, conversation: 'c', events: [], head: 0 })
    expect(await asked).toMatchObject({ ok: true, frame: { type: 'synced' } })
    expect(parts.on.frame).not.toHaveBeenCalled()
  })
})

describe('the session', () => {
  const tokens = (n: number, expiresIn = 900) => ({
    user: { id: 'u' },
    accessToken: `access ${n}`,
    refreshToken: `refresh ${n}`,
    expiresIn,
  })

  function answering(...answers: [number, object][]) {
    const calls: [string, Frame][] = []
    vi.stubGlobal('navigator', {})
    vi.stubGlobal('fetch', async (path: string, { body }: { body: string }) => {
      calls.push([path, JSON.parse(body)])
      const [status, answer] = answers[calls.length - 1] ?? [500, {}]
      return new Response(JSON.stringify(answer), { status })
    })
    return calls
  }

  async function signedIn(storage = memoryStorage(), ...answers: [number, object][]) {
    const calls = answering([200, tokens(1)], ...answers)
    const session = createSession({ storage, onDate() {} })
    await session.signIn('ada', 'secret')
    return { session, calls, storage }
  }

  test('renews once for all who ask at the same time', async () => {
    const { session, calls } = await signedIn(memoryStorage(), [200, tokens(2)])
    await vi.advanceTimersByTimeAsync(800_000)
    const asked = await Promise.all([session.token(), session.token(), session.token()])
    expect(asked.map(({ token }) => token)).toEqual(['access 2', 'access 2', 'access 2'])
    expect(calls).toHaveLength(2)
    expect(calls[1]).toEqual(['/v1/auth/refresh', { refreshToken: 'refresh 1' }])
  })

  test('uses what another tab renewed', async () => {
    const { session, calls, storage } = await signedIn()
    const held = JSON.parse(storage.getItem('parley.session') as string)
    storage.setItem(
      'parley.session',
      JSON.stringify({ ...held, accessToken: 'of the other tab', renewAt: Date.now() + 1_000 }),
    )
    expect(await session.refresh('access 1')).toEqual({ ok: true, token: 'of the other tab' })
    expect(calls).toHaveLength(1)
  })

  test('is over when the server says so, and only then', async () => {
    const refused = { code: 'unauthenticated', detail: 'the session has ended' }
    const { session } = await signedIn(memoryStorage(), [503, {}], [401, refused])
    expect(await session.refresh('access 1')).toMatchObject({ ok: false, code: 'unavailable' })
    expect(session.user()).toEqual({ id: 'u' })
    expect(await session.refresh('access 1')).toMatchObject({ ok: false, code: 'signed_out' })
    expect(session.user()).toBe(null)
  })

  test('shows the server’s reason', async () => {
    answering([401, { code: 'unauthenticated', detail: 'the username or the password is wrong' }])
    const session = createSession({ storage: memoryStorage(), onDate() {} })
    expect(await session.signIn('ada', 'x')).toMatchObject({
      ok: false,
      message: 'The username or the password is wrong.',
    })
  })
})
