import { randomBytes } from 'node:crypto'
import { createConnection } from 'node:net'
import { until } from './until.ts'

export const opcodes = { text: 1, binary: 2, close: 8, ping: 9 } as const

/** A TCP client that writes WebSocket frames by hand, so that it can write wrong ones, and stop reading. */
export async function connectRaw(port: number, headers: Record<string, string> = {}) {
  const socket = createConnection({ host: '127.0.0.1', port })
  let received = Buffer.alloc(0)
  let gone = false
  socket.on('data', (data) => {
    received = Buffer.concat([received, data])
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    gone = true
  })
  const head = Object.entries({
    host: '127.0.0.1',
    upgrade: 'websocket',
    connection: 'Upgrade',
    'sec-websocket-key': randomBytes(16).toString('base64'),
    'sec-websocket-version': '13',
    ...headers,
  })
  socket.write(
    `GET /ws HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  )
  const end = await until(
    () => received.indexOf('\r\n\r\n') + 1,
    () => 'no answer to the upgrade',
  )
  const response = received.subarray(0, end - 1).toString()
  received = received.subarray(end + 3)

  /** Whole frames that have come; what is cut off waits. */
  function frames(): { opcode: number; payload: Buffer }[] {
    const list = []
    let at = 0
    while (at + 2 <= received.length) {
      let length = (received[at + 1] as number) & 0x7f
      let start = at + 2
      if (length === 126) {
        length = received.readUInt16BE(start)
        start += 2
      } else if (length === 127) {
        length = Number(received.readBigUInt64BE(start))
        start += 8
      }
      if (start + length > received.length) break
      const opcode = (received[at] as number) & 0x0f
      list.push({ opcode, payload: received.subarray(start, start + length) })
      at = start + length
    }
    return list
  }

  return {
    socket,
    response,
    frames,
    write: (bytes: Uint8Array) => socket.write(bytes),
    send: (opcode: number, payload: Uint8Array) => socket.write(maskedFrame(opcode, payload)),
    /** The close code, or `dropped` when the link went without one. */
    closed: () =>
      until(
        () => {
          const close = frames().find(({ opcode }) => opcode === opcodes.close)
          if (close !== undefined) return close.payload.readUInt16BE(0)
          return gone && ('dropped' as const)
        },
        () => 'not closed',
      ),
  }
}

export type RawSocket = Awaited<ReturnType<typeof connectRaw>>

function maskedFrame(opcode: number, payload: Uint8Array): Buffer {
  const { length } = payload
  const head =
    length < 126
      ? Buffer.of(0x80 | opcode, 0x80 | length)
      : length < 65_536
        ? Buffer.of(0x80 | opcode, 0xfe, length >> 8, length & 0xff)
        : Buffer.concat([Buffer.of(0x80 | opcode, 0xff), eightBytes(length)])
  const mask = randomBytes(4)
  const masked = Buffer.from(payload)
  for (let i = 0; i < length; i++) masked[i] = (masked[i] as number) ^ (mask[i % 4] as number)
  return Buffer.concat([head, mask, masked])
}

function eightBytes(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
