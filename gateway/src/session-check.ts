import type { Connection } from './connection.ts'
import type { Directory } from './directory.ts'

/**
 * [G11] Finds sessions that ended without a notice reaching us: to be called every few seconds, and a call is nothing
 * while the one before is not answered.
 */
export function createSessionCheck(
  connections: ReadonlySet<Connection>,
  directory: Pick<Directory, 'endedOf'>,
): () => void {
  let asking = false
  return () => {
    if (asking) return
    const open = new Set<string>()
    for (const { bound, sessionId } of connections) {
      if (bound && sessionId !== null) open.add(sessionId)
    }
    if (open.size === 0) return
    asking = true
    void directory.endedOf([...open]).then((answer) => {
      asking = false
      if (!answer.ok) return
      const ended = new Set(answer.ended)
      for (const { session, sessionId } of connections) {
        if (sessionId !== null && ended.has(sessionId)) session.revoked()
      }
    })
  }
}
