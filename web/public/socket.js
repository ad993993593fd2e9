import { newId } from './ids.js'

/**
 * The connection to a gateway: opened, kept alive, its token renewed, and opened again when it is lost. At any time one
 * of these states: `{kind: 'connecting'}`, `{kind: 'online'}`, `{kind: 'waiting', untilMs, why}` (local milliseconds),
 * `{kind: 'stopped', why}` until `retryNow`.
 */

const subprotocol = 'parley.v1.json'
const clientName = 'parley-web/0.1'
const openMs = 10_000
const pongMs = 10_000
const requestMs = 15_000
/** A connection that lasted this long was a good one: after it the wait begins small again. */
const steadyMs = 10_000
/** How long the wait may be: at first, and in the end. */
const firstWaitMs = 1_000
const lastWaitMs = 30_000

/** Why a server closes for good (PROTOCOL.md, close codes). */
const finalCloses = new Map([
  [4000, 'The server did not understand this page.'],
  [4003, 'The server does not accept pages from this address.'],
  [4004, 'The server waited too long for this page.'],
  [4009, 'What was sent is too large for the server.'],
])
const refreshCloses = new Set([4001, 4002])
const maxRefreshesInRow = 2
/** After a renewal failed: the old token lasts a little longer still. */
const renewAgainMs = 2_000

const lost = {
  ok: false,
  code: 'unreachable',
  message: 'The connection was lost.',
  retryable: true,
}

/**
 * @param {{session: any, api: any, clock: any, device: string,
 *   on: {state(state: any): void, welcome(frame: any): void, frame(frame: any): void, lost(): void}}} parts
 */
export function createSocket({ session, api, clock, device, on }) {
  let state = { kind: 'stopped', why: '' }
  let ws = null
  let limits = null
  let attempts = 0
  let refreshes = 0
  let round = 0
  let drainMs = null
  let lastHeardAt = 0
  /** The access token that the connection has. */
  let tokenInUse = ''
  const timers = { retry: 0, open: 0, ping: 0, pong: 0, steady: 0, renew: 0 }
  const requests = new Map()

  function become(next) {
    state = next
    on.state(state)
  }

  async function connect() {
    const mine = ++round
    stopTimers()
    become({ kind: 'connecting' })
    /* Once signed out, this call tells whoever made this connection, who stops it. */
    const gateway = await api.gateway()
    const token = gateway.ok ? await session.token() : gateway
    if (mine !== round) return
    if (!token.ok) {
      if (token.code !== 'signed_out') wait(token.message)
      return
    }
    const { urls } = gateway.body
    const url = urls[Math.floor(Math.random() * urls.length)]
    if (url === undefined) wait('No gateway is ready.')
    else open(url, token.token)
  }

  function open(url, token) {
    try {
      ws = new WebSocket(url, [subprotocol])
    } catch {
      ws = null
      wait('The address of the gateway is not usable here.')
      return
    }
    const socket = ws
    tokenInUse = token
    timers.open = setTimeout(() => socket.close(), openMs)
    socket.onopen = () => transmit({ type: 'hello', token, device, client: clientName })
    socket.onmessage = ({ data }) => receive(data)
    socket.onclose = ({ code }) => {
      if (ws === socket) closed(code)
    }
  }

  function receive(data) {
    lastHeardAt = Date.now()
    clearTimeout(timers.pong)
    const parsed = JSON.parse(data)
    for (const frame of Array.isArray(parsed) ? parsed : [parsed]) {
      if (ws === null) return
      handle(frame)
    }
  }

  function handle(frame) {
    if (frame.type === 'welcome') return welcome(frame)
    if (frame.type === 'pong') clock.hear(frame.time, { isExact: true })
    else if (frame.type === 'drain') drainMs = frame.reconnectAfterMs
    const waiting = frame.ref === undefined ? undefined : requests.get(frame.ref)
    if (waiting === undefined) on.frame(frame)
    else {
      requests.delete(frame.ref)
      clearTimeout(waiting.timer)
      waiting.resolve(frame.type === 'error' ? { ok: false, ...frame } : { ok: true, frame })
    }
  }

  function welcome(frame) {
    clearTimeout(timers.open)
    clock.hear(frame.time, { isExact: true })
    limits = frame.limits
    refreshes = 0
    timers.steady = setTimeout(() => {
      attempts = 0
    }, steadyMs)
    const pingMs = Math.min(25_000, (limits.idleSeconds * 1000) / 3)
    timers.ping = setInterval(ping, pingMs)
    scheduleRenewal(session.dueInMs())
    become({ kind: 'online' })
    on.welcome(frame)
  }

  function ping() {
    transmit({ type: 'ping' })
    const askedAt = Date.now()
    clearTimeout(timers.pong)
    timers.pong = setTimeout(() => {
      if (lastHeardAt < askedAt) drop()
    }, pongMs)
  }

  /** The link is dead and may not even close: goes on without it. */
  function drop() {
    const dead = ws
    if (dead === null) return
    dead.onmessage = null
    dead.onclose = null
    dead.close()
    closed(1006)
  }

  function scheduleRenewal(inMs) {
    clearTimeout(timers.renew)
    timers.renew = setTimeout(renew, Math.min(inMs, 2 ** 31 - 1))
  }

  async function renew() {
    const mine = round
    const token = await session.token()
    if (mine !== round || limits === null) return
    if (token.ok) {
      tokenInUse = token.token
      transmit({ type: 'auth', token: tokenInUse })
    }
    scheduleRenewal(token.ok ? session.dueInMs() : renewAgainMs)
  }

  function closed(code) {
    const why = drainMs === null ? '' : 'The server is restarting.'
    leave()
    if (refreshCloses.has(code)) return void reauthenticate()
    const final = finalCloses.get(code)
    if (final !== undefined) become({ kind: 'stopped', why: final })
    else wait(why)
  }

  async function reauthenticate() {
    refreshes += 1
    const mine = ++round
    become({ kind: 'connecting' })
    if (refreshes > maxRefreshesInRow) {
      wait('The server does not accept this sign-in.')
      return
    }
    const renewed = await session.refresh(tokenInUse)
    if (mine !== round) return
    if (renewed.ok || renewed.code === 'signed_out') connect()
    else wait(renewed.message)
  }

  /** Full jitter, from 1 s to 30 s; or when the server said. */
  function wait(why) {
    const mostMs = Math.min(lastWaitMs, firstWaitMs * 2 ** attempts)
    const waitMs = drainMs ?? Math.random() * mostMs
    drainMs = null
    attempts = Math.min(attempts + 1, 10)
    become({ kind: 'waiting', untilMs: Date.now() + waitMs, why })
    timers.retry = setTimeout(connect, waitMs)
  }

  function leave() {
    const wasOnline = limits !== null
    ws = null
    limits = null
    stopTimers()
    for (const { resolve, timer } of requests.values()) {
      clearTimeout(timer)
      resolve(lost)
    }
    requests.clear()
    if (wasOnline) on.lost()
  }

  function stopTimers() {
    for (const timer of Object.values(timers)) clearTimeout(timer)
  }

  function transmit(frame) {
    if (ws?.readyState === WebSocket.OPEN) ws.send(JSON.stringify(frame))
  }

  return {
    start: connect,
    state: () => state,
    /** `welcome.limits` while connected, else null. */
    limits: () => limits,
    send: transmit,
    /** A frame with a `ref`, and its answer: `{ok: true, frame}`, or an error. */
    ask(frame) {
      if (limits === null) return Promise.resolve(lost)
      const ref = newId(clock.now())
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          requests.delete(ref)
          resolve({ ...lost, code: 'unavailable', message: 'No answer came.' })
        }, requestMs)
        requests.set(ref, { resolve, timer })
        transmit({ ...frame, ref })
      })
    },
    /** The user asks, or the network is back. */
    retryNow() {
      if (state.kind === 'waiting' || state.kind === 'stopped') connect()
    },
    /** Finds out whether the link still lives, after the page has slept. */
    check() {
      if (limits === null) this.retryNow()
      else ping()
    },
    stop() {
      round += 1
      const last = ws
      leave()
      stopTimers()
      if (last) {
        last.onclose = null
        last.close()
      }
    },
  }
}
