import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { within } from './deadline.ts'

/** RFC 6455 by hand, for bytes that no decent WebSocket client would send. */
export interface RawWire {
  /** One frame, masked as a client must; `opcode` 1 is text, 2 binary. */
  sendFrame(opcode: number, payload: Uint8Array, options?: { fin?: boolean; mask?: boolean }): void
  sendBytes(bytes: Uint8Array): void
  /** Resolves with all that came after the handshake when the server has ended the link. */
  readonly ended: Promise<Buffer>
  destroy(): void
}

export async function openRawWire(url: string, protocol: string): Promise<RawWire> {
  const { hostname, port, pathname } = new URL(url)
  const socket = connect(Number(port), hostname)
  const chunks: Buffer[] = []
  const ended = new Promise<Buffer>((resolve) => {
    socket.once('close', () => resolve(Buffer.concat(chunks)))
  })
  socket.on('error', () => socket.destroy())
  const upgraded = handshake(socket, chunks)
  socket.write(
    [
      `GET ${pathname} HTTP/1.1`,
      `Host: ${hostname}:${port}`,
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Protocol: ${protocol}`,
      '\r\n',
    ].join('\r\n'),
  )
  await within('the upgrade', 5_000, upgraded)
  return {
    ended,
    sendBytes: (bytes) => void socket.write(bytes),
    sendFrame: (opcode, payload, { fin = true, mask = true } = {}) =>
      void socket.write(frameOf(opcode, payload, fin, mask)),
    destroy: () => socket.destroy(),
  }
}

function handshake(socket: Socket, chunks: Buffer[]): Promise<void> {
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0)
    const read = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      socket.off('data', read)
      socket.on('data', (more) => chunks.push(more as Buffer))
      chunks.push(head.subarray(end + 4))
      if (head.toString('latin1').startsWith('HTTP/1.1 101')) resolve()
      else reject(new Error(`no upgrade: ${head.toString('latin1')}`))
    }
    socket.on('data', read)
    socket.once('error', reject)
  })
}

function frameOf(opcode: number, payload: Uint8Array, fin: boolean, mask: boolean): Buffer {
  const { length } = payload
  const extended = length < 126 ? 0 : length < 65_536 ? 2 : 8
  const head = Buffer.alloc(2 + extended)
  head[0] = (fin ? 0x80 : 0) | opcode
  head[1] = (mask ? 0x80 : 0) | (extended === 0 ? length : extended === 2 ? 126 : 127)
  if (extended === 2) head.writeUInt16BE(length, 2)
  if (extended === 8) head.writeBigUInt64BE(BigInt(length), 2)
  if (!mask) return Buffer.concat([head, payload])
  const key = randomBytes(4)
  const masked = Buffer.from(payload).map((byte, i) => byte ^ (key[i & 3] as number))
  return Buffer.concat([head, key, masked])
}
