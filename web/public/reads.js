/**
 * How far the user has read: kept in this browser, and told to the server, which shows it to the user's other devices.
 * What the server does not keep holds here all the same.
 */

const maxKept = 1_000
const tellMs = 500

/** @param {{storage: Storage, user: string, socket: any}} parts */
export function createReads({ storage, user, socket }) {
  const key = `parley.read.${user}`
  const untold = new Set()
  let isTelling = false
  /** A server of the first release takes no read positions. */
  let isSupported = true
  let timer

  function all() {
    try {
      return JSON.parse(storage.getItem(key) ?? '{}')
    } catch {
      return {}
    }
  }

  function keep(conversation, seq) {
    const { [conversation]: _before, ...others } = all()
    const latest = Object.entries(others).slice(-maxKept + 1)
    try {
      storage.setItem(key, JSON.stringify(Object.fromEntries([...latest, [conversation, seq]])))
    } catch {
      /* No room: then the server alone knows. */
    }
  }

  /** One after another; what could not be told is compared again after the next `welcome`. */
  async function tell() {
    if (isTelling) return
    isTelling = true
    for (const conversation of untold) {
      untold.delete(conversation)
      if (!isSupported) continue
      const seq = all()[conversation] ?? 0
      const answer = await socket.ask({ type: 'read', conversation, seq })
      if (answer.code === 'unsupported') isSupported = false
    }
    isTelling = false
  }

  return {
    here: (conversation) => all()[conversation] ?? 0,
    advance(conversation, seq) {
      if ((all()[conversation] ?? 0) >= seq) return
      keep(conversation, seq)
      untold.add(conversation)
      timer ??= setTimeout(() => {
        timer = undefined
        tell()
      }, tellMs)
    },
    /** After a (re)connect: what the server does not have, it is told again. */
    compare(conversations) {
      const mine = all()
      for (const { id, read, head } of conversations) {
        if (Math.min(mine[id] ?? 0, head) > read) untold.add(id)
      }
      tell()
    },
    stop: () => clearTimeout(timer),
  }
}
