import { App, us_socket_local_port, type WebSocket } from 'uWebSockets.js'
import { encodeEventFrame } from '@parley/proto/event-frame'
import type { MessageBody } from '@parley/proto/frames'
import { newId, parseId } from '@parley/proto/ids'
import { messagePackCodec } from '@parley/proto/msgpack-codec'

/**
 * The floor of sockets: bare uWebSockets.js that answers each message with an ack and an event of the same bytes and
 * sizes as Parley's, coalesced in the same way (once a loop turn), and does nothing else: no parsing, no log, no
 * order, no membership. The token of `hello` is the id of the conversation to be in.
 */

interface Data {
  conversation: string
  pending: Uint8Array[]
}
type Peer = WebSocket<Data>

/** Where the 16 bytes of the id begin in a `send`, and in the frames made from templates. */
const idInSend = 4
const templates = new Map<string, { ack: Buffer; event: Buffer; ackId: number; eventId: number }>()

const app = App()
const peers = new Set<Peer>()
const rooms = new Map<string, Uint8Array[]>()
let flushing = false

function flush(): void {
  flushing = false
  for (const [room, frames] of rooms) {
    app.publish(room, messagePackCodec.joinFrames(frames), true)
  }
  rooms.clear()
  for (const peer of peers) {
    const { pending } = peer.getUserData()
    if (pending.length === 0) continue
    peer.send(messagePackCodec.joinFrames(pending), true)
    pending.length = 0
  }
}

function templateOf(conversation: string, send: Buffer) {
  const made = templates.get(conversation)
  if (made !== undefined) return made
  const id = newId()
  const { body = { text: '' } } = firstFrame(send)
  const at = Date.now()
  const ack = Buffer.from(
    messagePackCodec.encodeServerFrame({ type: 'ack', id, conversation, seq: 1_000, at }),
  )
  const event = Buffer.from(
    encodeEventFrame({
      type: 'event',
      conversation,
      seq: 1_000,
      id,
      kind: 'message',
      sender: newId(),
      at,
      body,
    }),
  )
  const template = {
    ack,
    event,
    ackId: ack.indexOf(parseId(id)),
    eventId: event.indexOf(parseId(id)),
  }
  templates.set(conversation, template)
  return template
}

/** The first frame of a message, as far as the floor looks at one. */
function firstFrame(message: Buffer): { token?: string; body?: MessageBody } {
  const decoded = messagePackCodec.decodeClientMessage(message)
  const [frame] = decoded.ok ? decoded.frames : []
  if (!frame?.ok) throw new Error('the generator sends frames of ours')
  return frame.frame as { token?: string; body?: MessageBody }
}

function onMessage(peer: Peer, message: ArrayBuffer): void {
  const bytes = Buffer.from(message)
  const data = peer.getUserData()
  if (data.conversation === '') {
    hello(peer, bytes)
    return
  }
  const { ack, event, ackId, eventId } = templateOf(data.conversation, bytes)
  const ours = Buffer.from(ack)
  bytes.copy(ours, ackId, idInSend, idInSend + 16)
  data.pending.push(ours)
  const theirs = Buffer.from(event)
  bytes.copy(theirs, eventId, idInSend, idInSend + 16)
  const room = rooms.get(data.conversation)
  if (room === undefined) rooms.set(data.conversation, [theirs])
  else room.push(theirs)
  if (flushing) return
  flushing = true
  setImmediate(flush)
}

function hello(peer: Peer, bytes: Buffer): void {
  const { token: conversation = newId() } = firstFrame(bytes)
  peer.getUserData().conversation = conversation
  peer.subscribe(conversation)
  peers.add(peer)
  const limits = {
    frameBytes: 0,
    bodyBytes: 0,
    textLength: 0,
    inFlight: 32,
    messagesPerSecond: 0,
    idleSeconds: 0,
  }
  const welcome = {
    type: 'welcome',
    user: newId(),
    session: newId(),
    time: Date.now(),
    limits,
    conversations: [],
    more: false,
  } as const
  peer.send(messagePackCodec.encodeServerFrame({ ...welcome, conversations: [] }), true)
}

app
  .ws<Data>('/ws', {
    maxPayloadLength: 256 * 1024,
    maxBackpressure: 16 * 1024 * 1024,
    upgrade: (response, request, context) =>
      response.upgrade(
        { conversation: '', pending: [] },
        request.getHeader('sec-websocket-key'),
        request.getHeader('sec-websocket-protocol'),
        request.getHeader('sec-websocket-extensions'),
        context,
      ),
    message: onMessage,
    close: (peer) => void peers.delete(peer),
  })
  .listen('127.0.0.1', 0, (socket) => {
    const port = us_socket_local_port(socket)
    process.on('SIGTERM', () => process.exit(0))
    console.log(`ready http://127.0.0.1:${port} ws://127.0.0.1:${port}/ws`)
  })
