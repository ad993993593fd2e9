import { connect } from 'node:net'

/**
 * True when a server answers a start-up packet by asking for a password: it accepts connections and has forked a
 * backend for ours. One that is still recovering answers with an error first (57P03).
 * Form: PostgreSQL manual, "Message Formats", StartupMessage.
 */
export function probe(port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port })
    const done = (ready: boolean) => {
      socket.destroy()
      resolve(ready)
    }
    socket.setTimeout(timeoutMs, () => done(false))
    socket.once('error', () => done(false))
    socket.once('close', () => done(false))
    socket.once('data', (bytes) => done(bytes[0] === 'R'.charCodeAt(0)))
    socket.once('connect', () => socket.write(startupMessage()))
  })
}

function startupMessage(): Buffer {
  const text = Buffer.from('user\0parley\0database\0postgres\0application_name\0ready?\0\0')
  const head = Buffer.alloc(8)
  head.writeInt32BE(8 + text.length, 0)
  head.writeInt32BE(3 << 16, 4)
  return Buffer.concat([head, text])
}
