import type { Bus } from '@parley/platform/ports/bus'
import type { Log as Logger } from '@parley/platform/process/logs'
import { failure } from '@parley/proto/errors'
import { channels } from '@parley/proto/fan-out'
import type { Watch as WatchRequest } from '@parley/proto/frames'
import { decodePresence } from '@parley/proto/session-records'
import { type Channel, openChannel } from './channel.ts'
import { chunkOf } from './chunks.ts'
import { answer, type Connection } from './connection.ts'
import type { Directory } from './directory.ts'
import { errorFrame } from './error-frame.ts'
import type { HeldRoom } from './fan-out.ts'
import type { Flusher } from './flusher.ts'
import type { MembershipChange } from './memberships.ts'
import type { PresenceSource } from './presence.ts'
import type { Run } from './reader.ts'
import { resolvedWithin } from './settled-within.ts'
import { Watches } from './watches.ts'

/** Presence for those who watch it: from the directory, presence-service and the bus to `presence` frames. */
export interface Watching {
  /** Answers the frame; `presence` follows when all that is asked for is known. */
  watch(connection: Connection, request: WatchRequest): void
  /** The connection's user was added to a conversation, or taken out of it. */
  changed(connection: Connection, change: MembershipChange): void
  /** Events that a room took in after `before`. */
  passed(held: HeldRoom, run: Run, before: number): void
  forget(connection: Connection): void
  /** Publishes may have been missed. */
  interrupted(): void
  /** To be called a few times a second. */
  tick(): void
  readonly watched: number
}

export interface WatchingParts {
  bus: Bus
  flusher: Flusher
  directory: Pick<Directory, 'acquaintances'>
  presence: PresenceSource
  logger: Logger
  now: () => number
  subscribeWaitMs: number
  /** Users in all watches of this gateway, each counted once a watch. */
  maxWatched: number
  /** Presence is asked anew this often, in case a change was missed. */
  refreshMs: number
}

const checksAtOnce = 64
const asksAtOnce = 4
const usersPerAsk = 1_000
const firstRetryMs = 200
const longestRetryMs = 3_000
/** How often those are looked for whose presence is to be asked anew. */
const lookMs = 1_000

export function createWatching(parts: WatchingParts): Watching {
  const { bus, flusher, logger, now } = parts
  const heard = new Map<string, Channel>()
  const watches = new Watches<Connection>({ listen, unlisten, announce, update }, parts.maxWatched)
  const { subjects } = watches
  let checking = 0
  let asking = 0
  let failures = 0
  let retryAt = 0
  let pumping = false
  let lookedAt = 0

  function listen(user: string): void {
    const channel = openChannel({
      bus,
      name: channels.presence(user),
      handler: (payload) => take(user, payload),
      onLate: () => listening(user),
    })
    heard.set(user, channel)
    void resolvedWithin(channel.heard, parts.subscribeWaitMs).then(() => listening(user))
  }

  function listening(user: string): void {
    subjects.listening(user)
    pump()
  }

  function unlisten(user: string): void {
    heard.get(user)?.close()
    heard.delete(user)
  }

  function take(user: string, payload: Uint8Array): void {
    try {
      subjects.tell(decodePresence(user, payload))
    } catch (error) {
      logger.error({ err: error, user }, 'a presence could not be read')
      return
    }
    flusher.schedule()
  }

  function announce(connection: Connection, users: Parameters<typeof update>[1]): void {
    answer(connection, { type: 'presence', users })
  }

  function update(
    { out }: Connection,
    users: { id: string; state: 'online' | 'away' | 'offline'; lastSeen?: number }[],
  ): boolean {
    const frame = out.codec.encodeServerFrame({ type: 'presence', users })
    return out.closed || out.ephemeral(chunkOf(out.codec, [frame]))
  }

  /** Asks what has become due; what comes up in one turn of the loop is asked together. */
  function pump(): void {
    if (pumping) return
    pumping = true
    setImmediate(() => {
      pumping = false
      for (const check of watches.takeChecks(checksAtOnce - checking, now())) guarded(ask(check))
      while (asking < asksAtOnce && now() >= retryAt) {
        const due = subjects.take(usersPerAsk, now())
        if (due.length === 0) break
        guarded(askPresence(due))
      }
      flusher.schedule()
    })
  }

  function guarded(work: Promise<void>): void {
    work.catch((error: unknown) => logger.error({ err: error }, 'presence could not be told'))
  }

  async function ask(check: ReturnType<typeof watches.takeChecks>[number]): Promise<void> {
    checking += 1
    const { owner, entries } = check.watch
    const answered = await parts.directory.acquaintances(owner, [...entries.keys()], check.known)
    checking -= 1
    watches.checked(check, answered.ok ? new Set(answered.users) : null, now())
    pump()
  }

  async function askPresence(due: ReturnType<typeof subjects.take>): Promise<void> {
    asking += 1
    const presences = await parts.presence.ask(due.map(({ user }) => user))
    asking -= 1
    failures = presences === null ? failures + 1 : 0
    if (presences === null) {
      retryAt = now() + Math.min(longestRetryMs, firstRetryMs * 2 ** Math.min(failures, 10))
    }
    subjects.answered(due, presences, now())
    pump()
  }

  flusher.before(() => watches.flush())

  return {
    watch(connection, { users, ref }) {
      if (!watches.set(connection, connection.user as string, users, now())) {
        const why = failure('overloaded', 'too many users are watched here', 5_000)
        answer(connection, errorFrame(why, { ref }))
        return
      }
      if (ref !== undefined) answer(connection, { type: 'ok', ref })
      pump()
    },
    changed(connection, { type, conversation, seq }) {
      if (type === 'removed') watches.lost(connection, conversation, seq, now())
      else watches.gained(connection, { conversation, seq }, now(), false)
      pump()
    },
    passed({ room }, run, before) {
      if (watches.entries === 0) return
      const { conversation, readers } = room
      for (const { seq, user } of run.removed) {
        if (seq <= before) continue
        const connections = [...readers].map(({ connection }) => connection)
        watches.left(user, connections, { conversation, seq }, now())
      }
      if (run.joined <= before) return
      for (const { connection } of readers) {
        watches.gained(connection, { conversation, seq: run.joined }, now(), true)
      }
    },
    forget: (connection) => watches.forget(connection),
    interrupted() {
      watches.interrupted(now())
      pump()
    },
    tick() {
      if (now() - lookedAt >= lookMs) {
        lookedAt = now()
        subjects.renew(lookedAt - parts.refreshMs)
      }
      if (watches.retry()) flusher.schedule()
      pump()
    },
    get watched() {
      return watches.entries
    },
  }
}
