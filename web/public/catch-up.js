/** Fetches what is missing of conversations by `sync`: after a hole, a `gap`, or a head above one's own. */

const pageEvents = 200
/** Further behind than this, a conversation begins anew at its head; its history is there by paging back. */
const maxBehind = 600
/** Syncs at once; the server allows eight of one connection. */
const atOnce = 4
const firstRetryMs = 500
const lastRetryMs = 30_000

/**
 * @param {{store: any, socket: any, onEvent: (event: any) => void, onGone: (id: string) => void,
 *   onRestart: (id: string) => void}} parts
 */
export function createCatchUp({ store, socket, onEvent, onGone, onRestart }) {
  const queue = new Set()
  const busy = new Set()

  function next() {
    for (const id of queue) {
      if (busy.size >= atOnce) return
      if (busy.has(id)) continue
      queue.delete(id)
      busy.add(id)
      catchUp(id).finally(() => {
        busy.delete(id)
        next()
      })
    }
  }

  async function catchUp(id) {
    let failures = 0
    for (;;) {
      const conversation = store.get(id)
      if (conversation === undefined || conversation.target <= conversation.head) return
      /* After a reconnect `welcome` tells anew who is behind. */
      if (socket.limits() === null) return
      if (conversation.target - conversation.head > maxBehind) {
        store.restart(conversation)
        onRestart(id)
        return
      }
      const after = conversation.head
      const answer = await socket.ask({
        type: 'sync',
        conversation: id,
        after,
        limit: pageEvents,
      })
      if (answer.ok) {
        failures = 0
        take(conversation, answer.frame)
      } else if (answer.code === 'not_found') {
        onGone(id)
        return
      } else if (!answer.retryable) return
      else await pause(Math.min(lastRetryMs, firstRetryMs * 2 ** failures++))
    }
  }

  function take(conversation, { events, head, from, more }) {
    store.beginAt(conversation, from)
    for (const event of events) onEvent(event)
    store.noteHead(conversation.id, head)
    /* The server knows of no more than this, whoever said otherwise. */
    if (!more && events.length === 0) conversation.target = conversation.head
  }

  return {
    want(id) {
      queue.add(id)
      next()
    },
  }
}

const pause = (mostMs) => new Promise((resolve) => setTimeout(resolve, Math.random() * mostMs))
