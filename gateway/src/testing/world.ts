import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import type { Log, NewRecord } from '@parley/platform/ports/log'
import { createMetrics } from '@parley/platform/process/metrics'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { codecFor } from '@parley/proto/codec'
import { type Command, decodeCommandRecord } from '@parley/proto/commands'
import { encodeEventFrame } from '@parley/proto/event-frame'
import {
  channels,
  encodeConversationPublish,
  encodeUserNotice,
  type UserNotice,
} from '@parley/proto/fan-out'
import type { Ack, ErrorFrame, Event } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { ReplyService } from '@parley/proto/rpc/replies_pb'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createGateway, type GatewayConfig } from '../create.ts'
import { defaultGatewaySettings, type GatewayBounds } from '../settings.ts'
import { type Conversation, directoryStub } from './directory-stub.ts'

/**
 * A gateway on real sockets with the rest of Parley played by a few lines: a log whose owner decides at once, a
 * directory that answers from memory.
 */
export type World = Awaited<ReturnType<typeof createWorld>>

const quiet = {
  debug() {},
  info() {},
  warn() {},
  error: (...args: unknown[]) => void errorsLogged.push(args),
}
/** What any gateway of this file logged as an error. */
export const errorsLogged: unknown[][] = []

export interface WorldOptions {
  config?: Partial<GatewayConfig>
  bounds?: Partial<GatewayBounds>
  now?: () => number
}

export async function createWorld(options: WorldOptions = {}) {
  const keys = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const kid = newId()
  const jwk = { ...(await exportJWK(keys.publicKey)), kid, alg: 'EdDSA', use: 'sig' }
  const conversations = new Map<string, Conversation>()
  const directory = directoryStub(conversations, () => JSON.stringify({ keys: [jwk] }))
  const rpc = createInProcessRpc()
  rpc.serve('directory', directory.routes)
  const bus = createMemoryBus()
  const faults = { losePublishes: false, rejectAppends: false, silent: false }
  const interruptions: (() => void)[] = []

  async function publish(channel: string, payload: Uint8Array): Promise<void> {
    if (!faults.losePublishes) await bus.publish(channel, payload)
  }
  const notify = (user: string, notice: UserNotice) =>
    publish(channels.user(user), encodeUserNotice(notice))

  function conversation(id: string): Conversation {
    const found = conversations.get(id)
    if (found === undefined) throw new Error(`no conversation ${id}`)
    return found
  }

  /** Puts events at the end of a conversation and publishes them together. */
  async function append(id: string, events: Partial<Event>[]): Promise<Event[]> {
    const { events: all } = conversation(id)
    const added = events.map((part, i): Event => {
      const seq = all.length + 1 + i
      const base = { type: 'event' as const, conversation: id, seq, id: newId(), at: seq }
      return { ...base, kind: 'message', sender: newId(), body: { text: `${seq}` }, ...part }
    })
    all.push(...added)
    const removed = added.flatMap(({ kind, seq, body }) =>
      kind === 'left' ? (body as { users: string[] }).users.map((user) => ({ seq, user })) : [],
    )
    const firstSeq = added[0]?.seq as number
    const frames = added.map(encodeEventFrame)
    await publish(
      channels.conversation(id),
      encodeConversationPublish({ firstSeq, frames, removed }),
    )
    return added
  }

  async function decide(command: Command): Promise<Ack | ErrorFrame> {
    const known = conversations.get(command.conversation)
    const same = known?.events.find((event) => event.id === command.id)
    const about = { id: command.id, conversation: command.conversation }
    if (same !== undefined) {
      return { type: 'ack', ...about, seq: same.seq, at: same.at, duplicate: true }
    }
    if (command.type !== 'send' || !known?.members.has(command.sender)) {
      return { type: 'error', code: 'not_found', message: 'no', retryable: false, id: command.id }
    }
    const { id, at, sender, body } = command
    const [event] = await append(command.conversation, [{ id, at, sender, body }])
    return { type: 'ack', ...about, seq: event?.seq as number, at }
  }

  const records: NewRecord[] = []
  const log: Pick<Log, 'partitions' | 'append'> = {
    partitions: () => 4,
    async append(_topic, _partition, added) {
      if (faults.rejectAppends) throw new Error('the log is away')
      records.push(...added)
      void own(added)
      return { offset: records.length - added.length }
    },
  }
  /** The partition's owner. */
  async function own(added: NewRecord[]): Promise<void> {
    for (const { value } of added) {
      const { commands, replyTo } = decodeCommandRecord(value)
      const replies = []
      for (const command of commands) {
        const frame = codecFor('parley.v1.msgpack').encodeServerFrame(await decide(command))
        replies.push({ correlation: command.correlation, frame })
      }
      if (!faults.silent) await rpc.client(ReplyService, replyTo).deliver({ replies })
    }
  }

  const interruptible: Bus = { ...bus, onInterruption: (told) => void interruptions.push(told) }
  const metrics = createMetrics()
  const gateway = createGateway(
    {
      ...defaultGatewaySettings,
      wsPort: 0,
      wsDrainMs: 2_000,
      address: 'gateway',
      directoryAddress: () => 'directory',
      ...options.config,
      bounds: { headsMs: 200, sessionCheckMs: 200, ...options.bounds },
    },
    {
      log: log as Log,
      bus: interruptible,
      rpc,
      logger: quiet,
      metrics,
      ...(options.now === undefined ? {} : { now: options.now }),
    },
  )
  rpc.serve('gateway', gateway.routes)
  const { port, url } = await gateway.start()

  async function token(
    user: string,
    more: { session?: string; expiresIn?: number; typ?: string; audience?: string } = {},
  ): Promise<string> {
    const at = Math.floor((options.now ?? Date.now)() / 1_000)
    return new SignJWT({ sid: more.session ?? newId() })
      .setProtectedHeader({ alg: 'EdDSA', typ: more.typ ?? 'at+jwt', kid })
      .setSubject(user)
      .setIssuer('parley')
      .setAudience(more.audience ?? 'parley')
      .setIssuedAt(at)
      .setExpirationTime(at + (more.expiresIn ?? 900))
      .sign(keys.privateKey)
  }

  return {
    gateway,
    port,
    url,
    kid,
    keys,
    metrics,
    directory,
    faults,
    records,
    token,
    append,
    notify,
    conversation,
    interrupt() {
      for (const told of interruptions) told()
    },
    /** A conversation of these users, with so many messages in it. */
    create(users: string[], messages = 0): string {
      const id = newId()
      const created: Event = {
        type: 'event',
        conversation: id,
        seq: 1,
        id: newId(),
        kind: 'created',
        sender: users[0] as string,
        at: 1,
        body: { kind: 'group', users },
      }
      const members = new Map(users.map((user) => [user, 1]))
      const more = Array.from({ length: messages }, (_, i): Event => {
        const seq = i + 2
        return { ...created, seq, id: newId(), kind: 'message', at: seq, body: { text: `${seq}` } }
      })
      conversations.set(id, { members, events: [created, ...more] })
      return id
    },
    announce: (id: string) =>
      publish(
        channels.conversation(id),
        encodeConversationPublish({
          firstSeq: conversation(id).events.length + 1,
          frames: [],
          removed: [],
        }),
      ),
    async add(id: string, user: string): Promise<number> {
      const { events, members } = conversation(id)
      const seq = events.length + 1
      members.set(user, 1)
      await append(id, [{ kind: 'joined', body: { users: [user] } }])
      await notify(user, { type: 'added', conversation: id, seq, from: 1 })
      return seq
    },
    async remove(id: string, user: string): Promise<number> {
      const { events, members } = conversation(id)
      const seq = events.length + 1
      members.delete(user)
      await append(id, [{ kind: 'left', body: { users: [user] } }])
      await notify(user, { type: 'removed', conversation: id, seq })
      return seq
    },
    async stop() {
      await gateway.stop()
      await bus.close()
    },
  }
}
