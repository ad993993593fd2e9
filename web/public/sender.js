import { sentence } from './http.js'

/**
 * Sends what is in the outbox: one message of a conversation at a time, so that their order is kept whatever is refused
 * or lost on the way, and again with the same id until there is an answer.
 */

const answerMs = 15_000
/** Without an answer for this long, it is worth asking whether the link still lives. */
const doubtMs = 3_000
const firstRetryMs = 1_000
const lastRetryMs = 30_000

/**
 * @param {{outbox: any, socket: any, onAcked: (entry: any, ack: any) => void}} parts
 */
export function createSender({ outbox, socket, onAcked }) {
  /** By conversation, the send that awaits its answer. */
  const inFlight = new Map()
  /** By conversation, what refusals say about when to go on. */
  const held = new Map()
  let timer

  function pump() {
    clearTimeout(timer)
    const limits = socket.limits()
    if (limits === null) return
    const now = Date.now()
    let nextAt = Number.POSITIVE_INFINITY
    const heads = new Map()
    for (const entry of outbox.waiting()) {
      if (entry.eligibleAt > now) nextAt = Math.min(nextAt, entry.eligibleAt)
      else if (!heads.has(entry.conversation)) heads.set(entry.conversation, entry)
    }
    for (const [conversation, entry] of heads) {
      const until = held.get(conversation)?.until ?? 0
      if (until > now) nextAt = Math.min(nextAt, until)
      else if (!inFlight.has(conversation) && inFlight.size < limits.inFlight) send(entry)
    }
    if (nextAt < Number.POSITIVE_INFINITY) timer = setTimeout(pump, nextAt - now)
  }

  function send(entry) {
    const { id, conversation, text, tried } = entry
    entry.tried = true
    const timers = [
      setTimeout(() => socket.check(), doubtMs),
      setTimeout(() => later(conversation, id, undefined), answerMs),
    ]
    inFlight.set(conversation, { id, timers })
    const frame = { type: 'send', id, conversation, body: { text } }
    socket.send(tried ? { ...frame, retry: true } : frame)
  }

  /** The answer to `id` is here, or is given up on. */
  function landed(conversation, id) {
    const flying = inFlight.get(conversation)
    if (flying?.id !== id) return
    flying.timers.forEach(clearTimeout)
    inFlight.delete(conversation)
  }

  function later(conversation, id, retryAfterMs) {
    landed(conversation, id)
    const refusals = (held.get(conversation)?.refusals ?? 0) + 1
    const backoffMs = Math.min(lastRetryMs, firstRetryMs * 2 ** (refusals - 1))
    const waitMs = (retryAfterMs ?? 0) + Math.random() * backoffMs
    held.set(conversation, { refusals, until: Date.now() + waitMs })
    pump()
  }

  return {
    pump,
    acked(ack) {
      const entry = outbox.get(ack.id)
      landed(ack.conversation, ack.id)
      held.delete(ack.conversation)
      if (entry) {
        onAcked(entry, ack)
        outbox.remove(ack.id)
      }
      pump()
    },
    /** Its event came by, which says as much as an ack. */
    seen(event) {
      if (outbox.get(event.id) === undefined) return
      landed(event.conversation, event.id)
      outbox.remove(event.id)
      pump()
    },
    refused({ id, code, message, retryable, retryAfterMs }) {
      const entry = outbox.get(id)
      if (entry === undefined) return
      if (retryable) later(entry.conversation, id, retryAfterMs)
      /* The connection ends for these; what was sent waits for the next. */ else if (
        code === 'token_expired' ||
        code === 'unauthenticated'
      )
        landed(entry.conversation, id)
      else {
        landed(entry.conversation, id)
        outbox.fail(id, { code, message: sentence(message) })
        pump()
      }
    },
    /** The connection is gone: nothing sent on it will be answered. */
    lost() {
      clearTimeout(timer)
      for (const { timers } of inFlight.values()) timers.forEach(clearTimeout)
      inFlight.clear()
      held.clear()
    },
  }
}
