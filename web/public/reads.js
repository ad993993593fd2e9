/**
 * How far the user has read, told to the server, and kept in this browser as well until the server is known to have it
 * (or for good, where it doesn't keep read positions).
 */

const maxKept = 1_000
const tellMs = 500

/** @param {{storage: Storage, user: string, socket: any}} parts */
export function createReads({ storage, user, socket }) {
  const key = `parley.read.${user}`
  const untold = new Set()
  let timer

  function all() {
    try {
      return JSON.parse(storage.getItem(key) ?? '{}')
    } catch {
      return {}
    }
  }

  function keep(conversation, seq) {
    const { [conversation]: before = 0, ...others } = all()
    const latest = Object.entries(others).slice(-maxKept + 1)
    const kept = Object.fromEntries([...latest, [conversation, Math.max(before, seq)]])
    try {
      storage.setItem(key, JSON.stringify(kept))
    } catch {
      /* No room: then it is known to the server alone. */
    }
  }

  function tell() {
    timer = undefined
    for (const conversation of untold) {
      socket.send({ type: 'read', conversation, seq: all()[conversation] ?? 0 })
    }
    untold.clear()
  }

  return {
    here: (conversation) => all()[conversation] ?? 0,
    advance(conversation, seq) {
      if ((all()[conversation] ?? 0) >= seq) return
      keep(conversation, seq)
      untold.add(conversation)
      timer ??= setTimeout(tell, tellMs)
    },
    /** After a (re)connect: what the server does not have, it is told again. */
    compare(conversations) {
      const mine = all()
      for (const { id, read, head } of conversations) {
        const seq = Math.min(mine[id] ?? 0, head)
        if (seq > read) socket.send({ type: 'read', conversation: id, seq })
      }
    },
    stop: () => clearTimeout(timer),
  }
}
