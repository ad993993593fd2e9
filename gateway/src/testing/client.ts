import { codecFor } from '@parley/proto/codec'
import type { ClientFrame, Event, Hello, ServerFrame, Subprotocol } from '@parley/proto/frames'
import { until } from './until.ts'
import type { World } from './world.ts'

export type Client = Awaited<ReturnType<typeof connect>>

/** A WebSocket client that keeps everything it gets. Node's own implementation, not ours. */
export async function connect(url: string, subprotocol: Subprotocol = 'parley.v1.json') {
  const codec = codecFor(subprotocol)
  const socket = new WebSocket(url, subprotocol)
  socket.binaryType = 'arraybuffer'
  const frames: ServerFrame[] = []
  let closed: { code: number; reason: string } | null = null
  socket.onmessage = ({ data }) => {
    const bytes = typeof data === 'string' ? Buffer.from(data) : new Uint8Array(data as ArrayBuffer)
    if ((typeof data === 'string') === codec.binary) throw new Error('text and binary are mixed up')
    const decoded = codec.decodeServerMessage(bytes)
    if (!decoded.ok) throw new Error(decoded.message)
    for (const one of decoded.frames) {
      if (!one.ok) throw new Error(one.message)
      frames.push(one.frame)
    }
  }
  socket.onclose = ({ code, reason }) => {
    closed = { code, reason }
  }
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = reject
  })

  const found = <T>(find: () => T | undefined | null | false, what: string): Promise<T> =>
    until(find, () => {
      const seen = frames.map((frame) => JSON.stringify(frame).slice(0, 150)).join('\n')
      return `${what}; closed ${JSON.stringify(closed)}; got\n${seen}`
    })

  return {
    socket,
    codec,
    frames,
    send(...list: ClientFrame[]) {
      const encoded = list.map((frame) => codec.encodeClientFrame(frame))
      const message = Buffer.from(codec.joinFrames(encoded))
      socket.send(codec.binary ? message : message.toString())
    },
    raw: (data: string | Uint8Array) => socket.send(data as never),
    /** The first frame, from now or before, that fits. */
    frame<T extends ServerFrame['type']>(
      type: T,
      fits: (frame: Extract<ServerFrame, { type: T }>) => boolean = () => true,
    ) {
      return found(
        () =>
          frames.find(
            (frame): frame is Extract<ServerFrame, { type: T }> =>
              frame.type === type && fits(frame as never),
          ),
        `no ${type} came`,
      )
    },
    until: found,
    events: (conversation: string): Event[] =>
      frames.filter(
        (frame): frame is Event => frame.type === 'event' && frame.conversation === conversation,
      ),
    seqs(conversation: string): number[] {
      return this.events(conversation).map(({ seq }) => seq)
    },
    closed: () => found(() => closed, 'not closed'),
    isClosed: () => closed !== null,
    close: () => socket.close(),
  }
}

/** Connects and says hello. */
export async function welcomed(
  world: World,
  user: string,
  options: { subprotocol?: Subprotocol; session?: string; resume?: Hello['resume'] } = {},
) {
  const client = await connect(world.url, options.subprotocol)
  const token = await world.token(
    user,
    options.session === undefined ? {} : { session: options.session },
  )
  const hello: Hello = { type: 'hello', token, device: 'test' }
  client.send(options.resume === undefined ? hello : { ...hello, resume: options.resume })
  const welcome = await client.frame('welcome')
  return Object.assign(client, { welcome })
}
