/**
 * Messages that were written and are not known to be in the log. Each is an item of its own in the browser's storage, so
 * that tabs don't overwrite each other's, and stays there with its id until it is acked or given up.
 */

const maxEntries = 500
/** How long a tab leaves another tab's message to that tab. */
const foreignMs = 5_000

/**
 * An entry: `{id, conversation, text, state: 'waiting' | 'failed', problem?, code?, tried, eligibleAt}`; `tried` and
 * `eligibleAt` (local milliseconds) are of this tab alone.
 * @param {{storage: Storage, user: string, onChange: () => void}} options
 */
export function createOutbox({ storage, user, onChange, now = Date.now }) {
  const prefix = `parley.outbox.${user}.`
  const entries = new Map()

  function load(key, eligibleAt) {
    try {
      const { conversation, text, state, problem, code } = JSON.parse(storage.getItem(key) ?? '')
      const id = key.slice(prefix.length)
      if (typeof conversation !== 'string' || typeof text !== 'string') return
      entries.set(id, { id, conversation, text, state, problem, code, tried: true, eligibleAt })
    } catch {
      /* Not one of ours. */
    }
  }

  function write(entry) {
    const { id, conversation, text, state, problem, code } = entry
    storage.setItem(prefix + id, JSON.stringify({ conversation, text, state, problem, code }))
  }

  function put(entry) {
    try {
      write(entry)
    } catch {
      return { ok: false, message: 'This browser has no room left to keep the message.' }
    }
    entries.set(entry.id, entry)
    onChange()
    return { ok: true }
  }

  function remove(id) {
    storage.removeItem(prefix + id)
    if (entries.delete(id)) onChange()
  }

  for (let i = 0; i < storage.length; i++) {
    const key = storage.key(i)
    if (key?.startsWith(prefix)) load(key, 0)
  }

  const inOrder = () => [...entries.values()].sort((a, b) => (a.id < b.id ? -1 : 1))

  return {
    all: inOrder,
    of: (conversation) => inOrder().filter((entry) => entry.conversation === conversation),
    get: (id) => entries.get(id),
    waiting: () => inOrder().filter((entry) => entry.state === 'waiting'),

    add({ id, conversation, text }) {
      if (entries.size >= maxEntries) {
        return { ok: false, message: 'Too many messages are waiting to be sent.' }
      }
      return put({ id, conversation, text, state: 'waiting', tried: false, eligibleAt: 0 })
    },
    /** It was refused for good. */
    fail(id, { code, message }) {
      const entry = entries.get(id)
      if (entry) put({ ...entry, state: 'failed', code, problem: message })
    },
    /**
     * Once more, on the user's word. The id stays, so that it can't be sent twice, except where the id itself was
     * refused.
     * @param {() => string} makeId
     */
    retry(id, makeId) {
      const entry = entries.get(id)
      if (entry === undefined) return
      const isIdRefused = entry.code === 'id_conflict' || entry.code === 'invalid'
      if (isIdRefused) remove(id)
      const { conversation, text } = entry
      const again = { conversation, text, state: 'waiting', tried: !isIdRefused, eligibleAt: 0 }
      put({ ...again, id: isIdRefused ? makeId() : id })
    },
    remove,
    clear() {
      for (const id of [...entries.keys()]) remove(id)
    },

    /** Another tab wrote to the storage. */
    heard({ key, newValue }) {
      if (key === null || !key.startsWith(prefix)) return
      if (newValue === null) entries.delete(key.slice(prefix.length))
      else load(key, now() + foreignMs)
      onChange()
    },
  }
}
