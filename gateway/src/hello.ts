import { type CloseReason, type Failure, failure } from '@parley/proto/errors'
import { readEventFrame } from '@parley/proto/event-frame'
import type { ConversationHead, Hello, Welcome } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import { eventChunks } from './chunks.ts'
import { answer, type Connection } from './connection.ts'
import type { Directory, MemberOf } from './directory.ts'
import type { FanOut } from './fan-out.ts'
import type { Memberships } from './memberships.ts'
import type { GatewayMetrics } from './metrics.ts'
import type { Reader } from './reader.ts'
import type { SessionReports } from './session-reports.ts'
import { resolvedWithin } from './settled-within.ts'
import type { TokenVerifier } from './tokens.ts'
import type { Users } from './users.ts'

export interface HelloParts {
  tokens: TokenVerifier
  users: Users
  memberships: Memberships
  fanOut: FanOut
  directory: Pick<Directory, 'memberships' | 'hasEnded' | 'events'>
  reports: SessionReports
  metrics: GatewayMetrics
  now: () => number
  welcomeLimits: Welcome['limits']
  subscribeWaitMs: number
  chunkBytes: number
}

/** Pages of missed events that one connection has read at a time. */
const resumesAtOnce = 4

type Rejection = { why: Failure; reason: CloseReason }

/**
 * From `hello` to `welcome`: the token, then the user's own channel, and only then the directory, so that no change
 * falls between. Whatever fails is told and closes the connection.
 */
export function createHello(parts: HelloParts) {
  const { users, memberships, directory, now } = parts

  async function look(
    connection: Connection,
    hello: Hello,
  ): Promise<Rejection | { list: MemberOf[]; more: boolean; expiresAt: number } | null> {
    const token = await parts.tokens.verify(hello.token)
    if (!token.ok) return { why: token, reason: reasonOf(token) }
    if (!connection.open) return null
    const { user, session, expiresAt } = token
    connection.sessionId = session
    const heard = users.attach(connection, user)
    if (heard === null) {
      const why = failure('overloaded', 'this user has too many connections', 5_000)
      return { why, reason: 'tooMany' }
    }
    await resolvedWithin(heard, parts.subscribeWaitMs)
    const [ended, listed] = await Promise.all([
      directory.hasEnded(session),
      directory.memberships(user),
    ])
    if (!ended.ok) return { why: ended, reason: reasonOf(ended) }
    if (ended.ended) {
      return { why: failure('unauthenticated', 'the session has ended'), reason: 'expired' }
    }
    if (!listed.ok) return { why: listed, reason: reasonOf(listed) }
    return { ...listed, expiresAt }
  }

  return async function authenticate(connection: Connection, hello: Hello): Promise<void> {
    const began = performance.now()
    const looked = await look(connection, hello)
    if (looked === null || !connection.open) return
    if ('why' in looked) {
      connection.session.rejected(looked.why, looked.reason)
      return
    }
    const user = connection.user as string
    const session = connection.sessionId as string
    const list = await memberships.bind(connection, user, looked.list)
    if (list === null) return
    answer(connection, {
      type: 'welcome',
      user,
      session,
      time: now(),
      limits: parts.welcomeLimits,
      conversations: list.slice(0, limits.welcomeConversations).map(headOf),
      more: looked.more || list.length > limits.welcomeConversations,
    })
    const resuming = hello.resume && resume(parts, connection, list, hello.resume)
    parts.reports.opened(connection.id, user)
    memberships.bound(connection)
    connection.session.ready({ user, session, expiresAt: looked.expiresAt }, now())
    parts.metrics.helloMs(performance.now() - began)
    await resuming
  }
}

function headOf({ conversation, head, from, read }: MemberOf): ConversationHead {
  return { id: conversation, head, from, read }
}

function reasonOf({ code }: Failure): CloseReason {
  if (code === 'token_expired') return 'expired'
  return code === 'unauthenticated' ? 'unauthenticated' : 'serverError'
}

/** Up to 50 missed events of each resumed conversation, else a gap; what comes live follows them. */
async function resume(
  parts: HelloParts,
  connection: Connection,
  list: readonly MemberOf[],
  resumed: Readonly<Record<string, number>>,
): Promise<void> {
  const pages: { reader: Reader<Connection>; after: number }[] = []
  for (const { conversation, head, from } of list) {
    const held = Object.hasOwn(resumed, conversation) ? resumed[conversation] : undefined
    const reader = connection.readers.get(conversation)
    if (held === undefined || reader === undefined) continue
    const after = Math.max(held, from - 1)
    // A reader that is held is told a gap anyway.
    if (after >= head || !reader.room.resume(reader)) continue
    if (head - after > limits.resumeEvents) reader.room.resumed(reader, null)
    else pages.push({ reader, after })
  }
  const work = async () => {
    for (let next = pages.shift(); next !== undefined; next = pages.shift()) {
      await sendMissed(parts, next.reader, next.after)
    }
  }
  await Promise.all(Array.from({ length: Math.min(resumesAtOnce, pages.length) }, work))
}

async function sendMissed(
  parts: HelloParts,
  reader: Reader<Connection>,
  after: number,
): Promise<void> {
  const { connection, room, user, next } = reader
  if (!connection.open) return
  const page = await parts.directory.events({
    user,
    conversation: room.conversation,
    after,
    limit: limits.resumeEvents,
    knownHead: next - 1,
  })
  if (!connection.open || reader.state === 'gone') return
  const last = page.ok ? page.frames.at(-1) : undefined
  if (!page.ok || last === undefined) {
    room.resumed(reader, null)
    return
  }
  const chunks = eventChunks(connection.out.codec, page.frames, parts.chunkBytes)
  const sent = parts.fanOut.page(reader, chunks)
  room.resumed(reader, sent ? readEventFrame(last).seq : null)
}
