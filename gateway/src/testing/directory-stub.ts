import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import type { RpcRoutes } from '@parley/platform/rpc/connector'
import { encodeEventFrame } from '@parley/proto/event-frame'
import type { Event } from '@parley/proto/frames'
import { formatId, parseId } from '@parley/proto/ids'
import {
  CheckSessionsResponseSchema,
  DirectoryService,
  GetConversationInfoResponseSchema,
  GetMembershipResponseSchema,
  GetSigningKeysResponseSchema,
  ListAcquaintancesResponseSchema,
  ListMembershipsResponseSchema,
  MembershipSchema,
  ReadEventsResponseSchema,
} from '@parley/proto/rpc/directory_pb'

export interface Conversation {
  /** By user, the first seq it may see. */
  members: Map<string, number>
  events: Event[]
  title?: string
  /** By user. */
  reads: Map<string, number>
}

/** A directory that knows everything at once. */
export function directoryStub(conversations: Map<string, Conversation>, jwks: () => string) {
  const calls = {
    lists: [] as number[],
    checks: 0,
    pages: 0,
    keys: 0,
    infos: 0,
    acquaintances: 0,
    knownHeads: [] as number[],
  }
  const state = {
    away: false,
    endedSessions: new Set<string>(),
    calls,
    /** Pages wait for this. */
    pagesHeld: Promise.resolve(),
    /** Infos wait for this. */
    infosHeld: Promise.resolve(),
  }

  function membership(id: string, user: string) {
    const found = conversations.get(id)
    const from = found?.members.get(user)
    if (found === undefined || from === undefined) return undefined
    return create(MembershipSchema, {
      conversation: parseId(id),
      head: BigInt(found.events.length),
      from: BigInt(from),
      read: BigInt(found.reads.get(user) ?? 0),
      memberCount: found.members.size,
    })
  }

  function shareOne(user: string, other: string): boolean {
    if (user === other) return true
    return [...conversations.values()].some(
      ({ members }) => members.has(user) && members.has(other),
    )
  }

  function answer<T>(make: () => T): T {
    if (state.away) throw new ConnectError('away', Code.Unavailable)
    return make()
  }

  const routes: RpcRoutes = (router) =>
    router.service(DirectoryService, {
      listMemberships: ({ users, limit }) =>
        answer(() => {
          calls.lists.push(users.length)
          return create(ListMembershipsResponseSchema, {
            users: users.map(formatId).map((user) => {
              const all = [...conversations.keys()]
                .map((id) => membership(id, user))
                .filter((found) => found !== undefined)
              return { memberships: all.slice(0, limit), more: all.length > limit }
            }),
          })
        }),
      getMembership: ({ user, conversation }) =>
        answer(() => {
          calls.checks += 1
          const found = membership(formatId(conversation), formatId(user))
          return create(
            GetMembershipResponseSchema,
            found === undefined ? {} : { membership: found },
          )
        }),
      getConversationInfo: async (request) => {
        calls.infos += 1
        await state.infosHeld
        return answer(() => {
          const id = formatId(request.conversation)
          const found = membership(id, formatId(request.user))
          if (found === undefined) throw new ConnectError('outside', Code.NotFound)
          const { title, members } = conversations.get(id) as Conversation
          const info = { id, title, memberCount: members.size, head: Number(found.head) }
          return create(GetConversationInfoResponseSchema, { json: JSON.stringify(info) })
        })
      },
      listAcquaintances: ({ user, users }) =>
        answer(() => {
          calls.acquaintances += 1
          const of = formatId(user)
          const known = users.filter((other) => shareOne(of, formatId(other)))
          return create(ListAcquaintancesResponseSchema, { users: known })
        }),
      readEvents: async (request) => {
        calls.pages += 1
        calls.knownHeads.push(Number(request.knownHead))
        await state.pagesHeld
        return answer(() => {
          const id = formatId(request.conversation)
          const found = membership(id, formatId(request.user))
          if (found === undefined) throw new ConnectError('outside', Code.NotFound)
          const { events } = conversations.get(id) as Conversation
          const after = Math.max(Number(request.after), Number(found.from) - 1)
          const page = events.slice(after, after + request.limit)
          return create(ReadEventsResponseSchema, {
            frames: page.map(encodeEventFrame),
            head: found.head,
            from: found.from,
            more: after + page.length < events.length,
          })
        })
      },
      getSigningKeys: () =>
        answer(() => {
          calls.keys += 1
          return create(GetSigningKeysResponseSchema, { jwks: jwks() })
        }),
      checkSessions: ({ sessions }) =>
        answer(() =>
          create(CheckSessionsResponseSchema, {
            ended: sessions.filter((session) => state.endedSessions.has(formatId(session))),
          }),
        ),
    })

  return Object.assign(state, { routes })
}
