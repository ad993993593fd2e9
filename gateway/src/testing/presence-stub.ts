import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import type { RpcRoutes } from '@parley/platform/rpc/connector'
import { formatId } from '@parley/proto/ids'
import { GetPresenceResponseSchema, PresenceService } from '@parley/proto/rpc/presence_pb'
import type { UserPresence } from '@parley/proto/session-records'

/** A presence-service that says what it is told to say. */
export function presenceStub() {
  const state = {
    away: false,
    asked: [] as string[][],
    presences: new Map<string, UserPresence>(),
  }

  const routes: RpcRoutes = (router) =>
    router.service(PresenceService, {
      getPresence({ users }) {
        if (state.away) throw new ConnectError('away', Code.Unavailable)
        state.asked.push(users.map(formatId))
        return create(GetPresenceResponseSchema, {
          users: users.map((user) => {
            const { state: said, lastSeen } = state.presences.get(formatId(user)) ?? {}
            return lastSeen === undefined
              ? { state: said ?? 'offline' }
              : { state: said ?? 'offline', lastSeen: BigInt(lastSeen) }
          }),
        })
      },
    })

  return Object.assign(state, { routes })
}
