/** The server's time, of which ids are made, so that a wrong clock of this device does no harm. */

const key = 'parley.clock'

/** @param {Pick<Storage, 'getItem' | 'setItem'>} storage keeps the last known offset for a start without a server */
export function createClock(storage, localNow = Date.now) {
  let offsetMs = Number(storage.getItem(key)) || 0
  let exact = false

  return {
    /** Milliseconds since 1970. */
    now: () => Math.round(localNow() + offsetMs),
    /**
     * The server said what time it is. A `Date` header has whole seconds, so it counts only until a frame was exact.
     * @param {number} serverMs
     */
    hear(serverMs, { isExact }) {
      if (!Number.isFinite(serverMs) || (exact && !isExact)) return
      exact ||= isExact
      offsetMs = serverMs - localNow()
      storage.setItem(key, String(offsetMs))
    },
  }
}
