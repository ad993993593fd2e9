import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import { type Database, DatabaseUnavailable } from '@parley/platform/ports/database'
import type { RpcRoutes } from '@parley/platform/rpc/connector'
import { writeEventFrame } from '@parley/proto/event-frame'
import { formatId, parseId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import {
  CheckSessionsResponseSchema,
  DirectoryService,
  GetConversationInfoResponseSchema,
  GetMembershipResponseSchema,
  GetSigningKeysResponseSchema,
  ListAcquaintancesResponseSchema,
  ListMembershipsResponseSchema,
  type Membership,
  MembershipSchema,
  ReadEventsResponseSchema,
  UserMembershipsSchema,
} from '@parley/proto/rpc/directory_pb'
import type { Accounts } from '../accounts/accounts.ts'
import { readConversation } from '../conversations/conversation-info.ts'
import { readEvents } from '../conversations/event-pages.ts'
import type { ProjectedHeads } from '../conversations/projected-heads.ts'
import {
  findMembership,
  listAcquaintances,
  listMemberships,
  type MembershipHead,
} from './memberships.ts'

export interface DirectoryParts {
  db: Database
  accounts: Pick<Accounts, 'checkSessions' | 'jwks'>
  heads: ProjectedHeads
}

/** What one call may ask: a gateway batches the hellos of one moment. */
const maxUsers = 1_000
const maxSessions = 10_000
const maxKnownHeads = 64

/** The directory as gateways see it. Reads only; every answer is of the primary. */
export function directoryRoutes({ db, accounts, heads }: DirectoryParts): RpcRoutes {
  /** Resolves when the database holds `head`, at once for 0; UNAVAILABLE after 2 s. */
  async function waitFor(conversation: string, head: number): Promise<void> {
    if (head === 0) return
    const result = await heads.waitFor(conversation, head, limits.syncWaitMs)
    if (!result.ok) throw new ConnectError(result.message, Code.Unavailable)
  }

  return (router) =>
    router.service(DirectoryService, {
      listMemberships: (request) =>
        answering(async () => {
          atMost(request.users.length, maxUsers, 'users')
          const lists = await listMemberships(db, request.users.map(formatId), request.limit)
          const users = lists.map(({ memberships, more }) =>
            create(UserMembershipsSchema, { memberships: memberships.map(membership), more }),
          )
          return create(ListMembershipsResponseSchema, { users })
        }),

      getMembership: (request) =>
        answering(async () => {
          const user = formatId(request.user)
          const conversation = formatId(request.conversation)
          await waitFor(conversation, Number(request.knownHead))
          const found = await findMembership(db, user, conversation)
          return create(GetMembershipResponseSchema, found ? { membership: membership(found) } : {})
        }),

      getConversationInfo: (request) =>
        answering(async () => {
          const user = formatId(request.user)
          const conversation = formatId(request.conversation)
          await waitFor(conversation, Number(request.knownHead))
          const read = await readConversation(db, { user, conversation, limit: limits.pageEntries })
          if (!read.ok) throw new ConnectError(read.message, Code.NotFound)
          const json = JSON.stringify(read.conversation)
          return create(GetConversationInfoResponseSchema, { json })
        }),

      readEvents: (request) =>
        answering(async () => {
          const page = {
            user: formatId(request.user),
            conversation: formatId(request.conversation),
            after: Number(request.after),
            limit: Math.min(request.limit, limits.pageEntries),
          }
          const known = Number(request.knownHead)
          let read = await readEvents(db, page)
          if (known > (read.ok ? read.head : 0)) {
            await waitFor(page.conversation, known)
            read = await readEvents(db, page)
          }
          if (!read.ok) throw new ConnectError(read.message, Code.NotFound)
          return create(ReadEventsResponseSchema, {
            frames: read.events.map(writeEventFrame),
            head: BigInt(read.head),
            from: BigInt(read.from),
            more: read.more,
          })
        }),

      getSigningKeys: () =>
        answering(async () =>
          create(GetSigningKeysResponseSchema, { jwks: await accounts.jwks() }),
        ),

      listAcquaintances: (request) =>
        answering(async () => {
          atMost(request.users.length, limits.watchedUsers, 'users')
          atMost(request.known.length, maxKnownHeads, 'heads')
          const waits = request.known.map((k) => waitFor(formatId(k.conversation), Number(k.head)))
          await Promise.all(waits)
          const user = formatId(request.user)
          const found = await listAcquaintances(db, user, request.users.map(formatId))
          return create(ListAcquaintancesResponseSchema, { users: found.map(parseId) })
        }),

      checkSessions: (request) =>
        answering(async () => {
          atMost(request.sessions.length, maxSessions, 'sessions')
          const ended = await accounts.checkSessions(request.sessions.map(formatId))
          return create(CheckSessionsResponseSchema, { ended: ended.map(parseId) })
        }),
    })
}

function membership(of: MembershipHead): Membership {
  const { conversation, head, from, read, memberCount } = of
  return create(MembershipSchema, {
    conversation: parseId(conversation),
    head: BigInt(head),
    from: BigInt(from),
    read: BigInt(read),
    memberCount,
  })
}

function atMost(count: number, bound: number, what: string): void {
  if (count > bound) throw new ConnectError(`at most ${bound} ${what} a call`, Code.InvalidArgument)
}

/** The database away is UNAVAILABLE to the caller, who tries again; everything else keeps its own code. */
async function answering<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof DatabaseUnavailable) {
      throw new ConnectError('the database is away', Code.Unavailable)
    }
    throw error
  }
}
