import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import type { Log, NewRecord } from '@parley/platform/ports/log'
import { createMetrics } from '@parley/platform/process/metrics'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { codecFor } from '@parley/proto/codec'
import { decodeCommandRecord } from '@parley/proto/commands'
import { type Cursor, decodeCursorRecord } from '@parley/proto/cursor-records'
import { encodeEventFrame } from '@parley/proto/event-frame'
import {
  type ConversationPublish,
  channels,
  encodeConversationPublish,
  encodeUserNotice,
  type UserNotice,
} from '@parley/proto/fan-out'
import type { Event } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { topics } from '@parley/proto/record-headers'
import { ReplyService } from '@parley/proto/rpc/replies_pb'
import {
  decodeSessionRecord,
  encodePresence,
  type SessionNotice,
  type UserPresence,
} from '@parley/proto/session-records'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createGateway, type GatewayConfig } from '../create.ts'
import { defaultGatewaySettings, type GatewayBounds } from '../settings.ts'
import { type Conversation, directoryStub } from './directory-stub.ts'
import { decide } from './owner.ts'
import { presenceStub } from './presence-stub.ts'

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
  const presence = presenceStub()
  rpc.serve('presence', presence.routes)
  const bus = createMemoryBus()
  const faults = {
    losePublishes: false,
    rejectAppends: false,
    rejectSessions: false,
    silent: false,
  }
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
    await publish(channels.conversation(id), encodeConversationPublish(publishOf(added)))
    return added
  }

  const records: NewRecord[] = []
  const sessions: SessionNotice[] = []
  const cursors: Cursor[] = []
  const log: Pick<Log, 'partitions' | 'append'> = {
    partitions: () => 4,
    async append(topic, _partition, added) {
      const away = faults.rejectAppends || (faults.rejectSessions && topic === topics.sessions)
      if (away) throw new Error('the log is away')
      for (const { value } of added) {
        if (topic === topics.sessions) sessions.push(...decodeSessionRecord(value))
        if (topic === topics.cursors) cursors.push(...decodeCursorRecord(value))
      }
      if (topic !== topics.commands) return { offset: 0 }
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
        const { correlation, conversation: id } = command
        const answer = await decide(command, conversations.get(id), async (event) => {
          const [appended] = await append(id, [event])
          return appended as Event
        })
        const frame = codecFor('parley.v1.msgpack').encodeServerFrame(answer)
        replies.push({ correlation, frame })
      }
      if (!faults.silent) await rpc.client(ReplyService, replyTo).deliver({ replies })
    }
  }

  const subscriptionsHeld = new Map<string, { ask(): void; released: Promise<void> }>()
  const interruptible: Bus = {
    ...bus,
    async subscribe(channel, handler) {
      const hold = subscriptionsHeld.get(channel)
      hold?.ask()
      await hold?.released
      await bus.subscribe(channel, handler)
    },
    onInterruption: (told) => void interruptions.push(told),
  }
  const metrics = createMetrics()
  const gateway = createGateway(
    {
      ...defaultGatewaySettings,
      wsPort: 0,
      wsDrainMs: 2_000,
      address: 'gateway',
      directoryAddress: () => 'directory',
      presenceAddress: () => 'presence',
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
    presence,
    bus,
    faults,
    records,
    sessions,
    cursors,
    token,
    append,
    notify,
    conversation,
    /** From now on subscriptions to this channel stand only once released; `asked`: the gateway wants one. */
    holdSubscription(channel: string): { asked: Promise<void>; release(): void } {
      let ask = () => {}
      let release = () => {}
      const asked = new Promise<void>((resolve) => {
        ask = resolve
      })
      const released = new Promise<void>((resolve) => {
        release = resolve
      })
      subscriptionsHeld.set(channel, { ask, released })
      return { asked, release }
    },
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
      conversations.set(id, { members, events: [created, ...more], reads: new Map() })
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
    async retitle(id: string, title: string): Promise<void> {
      conversation(id).title = title
      await append(id, [{ kind: 'updated', body: { title } }])
    },
    /** From now on a user's presence is this, and told so. */
    async setPresence(one: UserPresence): Promise<void> {
      presence.presences.set(one.id, one)
      await publish(channels.presence(one.id), encodePresence(one))
    },
    async stop() {
      await gateway.stop()
      await bus.close()
    },
  }
}

/** What the partition's owner publishes of neighbouring events. */
function publishOf(events: readonly Event[]): ConversationPublish {
  const publish: ConversationPublish = {
    firstSeq: events[0]?.seq as number,
    frames: events.map(encodeEventFrame),
    removed: [],
  }
  for (const { kind, seq, body } of events) {
    if (kind === 'joined') publish.joined = seq
    else if (kind === 'updated') publish.updated = seq
    else if (kind === 'left') {
      const { users } = body as { users: string[] }
      publish.removed.push(...users.map((user) => ({ seq, user })))
    }
  }
  return publish
}
