import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'

/**
 * A WebSocket client that costs as little as it can, so that the generator is not what is measured: it masks with
 * zeros (RFC 6455 §5.3 wants a mask, any mask), expects whole frames, and hands payloads out without a copy.
 */
export interface LeanSocket {
  send(payload: Uint8Array): void
  close(): void
}

const handshakeDeadlineMs = 10_000

export function openLeanSocket(
  url: string,
  onMessage: (payload: Buffer) => void,
  onClose: () => void,
): Promise<LeanSocket> {
  const { hostname, port, pathname } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true })
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => socket.destroy(new Error('no WebSocket handshake in time')),
      handshakeDeadlineMs,
    )
    socket.on('error', reject)
    socket.on('close', onClose)
    socket.once('connect', () => socket.write(requestOf(hostname, port, pathname)))
    let head = Buffer.alloc(0)
    const handshake = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk])
      const end = head.indexOf('\r\n\r\n')
      if (end < 0) return
      clearTimeout(timer)
      socket.off('data', handshake)
      if (!head.toString('latin1').startsWith('HTTP/1.1 101')) {
        socket.destroy(new Error(`no upgrade: ${head.toString('latin1')}`))
        return
      }
      readFrames(socket, head.subarray(end + 4), onMessage)
      resolve({ send: (payload) => sendFrame(socket, 2, payload), close: () => socket.destroy() })
    }
    socket.on('data', handshake)
  })
}

function requestOf(host: string, port: string, path: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    `Host: ${host}:${port}`,
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Protocol: parley.v1.msgpack',
    '\r\n',
  ].join('\r\n')
}

function sendFrame(socket: Socket, opcode: number, payload: Uint8Array): void {
  const { length } = payload
  const extended = length < 126 ? 0 : 2
  const frame = Buffer.alloc(2 + extended + 4 + length)
  frame[0] = 0x80 | opcode
  frame[1] = 0x80 | (extended === 0 ? length : 126)
  if (extended === 2) frame.writeUInt16BE(length, 2)
  frame.set(payload, 6 + extended)
  socket.write(frame)
}

function readFrames(socket: Socket, first: Buffer, onMessage: (payload: Buffer) => void): void {
  let rest = first
  const read = (chunk: Buffer) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (;;) {
      const frame = nextFrame(rest)
      if (frame === undefined) return
      rest = rest.subarray(frame.end)
      if (frame.opcode === 9) sendFrame(socket, 10, frame.payload)
      else if (frame.opcode === 8) socket.end()
      else if (frame.opcode === 2) onMessage(frame.payload)
    }
  }
  socket.on('data', read)
  if (first.length > 0) read(Buffer.alloc(0))
}

function nextFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | undefined {
  if (bytes.length < 2) return undefined
  const short = (bytes[1] as number) & 0x7f
  const extended = short < 126 ? 0 : short === 126 ? 2 : 8
  if (bytes.length < 2 + extended) return undefined
  const length =
    extended === 0
      ? short
      : extended === 2
        ? bytes.readUInt16BE(2)
        : Number(bytes.readBigUInt64BE(2))
  const start = 2 + extended
  const end = start + length
  if (bytes.length < end) return undefined
  return { opcode: (bytes[0] as number) & 0x0f, payload: bytes.subarray(start, end), end }
}
