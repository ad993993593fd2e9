import type { IncomingMessage } from 'node:http'

const drainedBytes = 8 * 1024 * 1024
const drainedMs = 2_000

/**
 * Reads what is left of a refused body, up to 8 MiB and 2 s. Closing a connection while its client still sends makes
 * the kernel reset it, and the client would never see why it was refused.
 */
export function drainBody(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    let bytes = 0
    const done = () => {
      clearTimeout(deadline)
      request.off('data', count).off('end', done).off('close', done)
      request.pause()
      resolve()
    }
    const count = (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes > drainedBytes) done()
    }
    const deadline = setTimeout(done, drainedMs)
    if (request.readableEnded || request.destroyed) return done()
    request.on('data', count).once('end', done).once('close', done)
  })
}
