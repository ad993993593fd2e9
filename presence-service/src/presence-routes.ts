import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import type { PresenceStore, UserLeases } from '@parley/platform/ports/presence-store'
import type { RpcRoutes } from '@parley/platform/rpc/connector'
import { formatId } from '@parley/proto/ids'
import {
  GetPresenceResponseSchema,
  PresenceSchema,
  PresenceService,
} from '@parley/proto/rpc/presence_pb'
import { within } from './backoff.ts'
import { presenceOf } from './presence.ts'

export interface PresenceRoutesParts {
  store: PresenceStore
  callTimeoutMs: number
  /** Milliseconds since 1970. */
  now(): number
}

/** What one call may ask. */
const maxUsers = 1_000

/** The present state of users, straight from the store: any process can answer for all of them. */
export function presenceRoutes({ store, callTimeoutMs, now }: PresenceRoutesParts): RpcRoutes {
  async function read(users: string[]): Promise<UserLeases[]> {
    try {
      return await within(callTimeoutMs, store.read(users))
    } catch (cause) {
      throw new ConnectError(
        'the presence store is away',
        Code.Unavailable,
        undefined,
        undefined,
        cause,
      )
    }
  }

  return (router) =>
    router.service(PresenceService, {
      async getPresence(request) {
        const users = idsOf(request.users)
        const leases = await read(users)
        const nowMs = now()
        return create(GetPresenceResponseSchema, {
          users: users.map((user, i) => {
            const { state, lastSeen } = presenceOf(user, leases[i] ?? {}, nowMs)
            return create(PresenceSchema, {
              state,
              ...(lastSeen === undefined ? {} : { lastSeen: BigInt(lastSeen) }),
            })
          }),
        })
      },
    })
}

function idsOf(users: Uint8Array[]): string[] {
  if (users.length > maxUsers) {
    throw new ConnectError(`at most ${maxUsers} users a call`, Code.InvalidArgument)
  }
  if (users.some((user) => user.length !== 16)) {
    throw new ConnectError('a user id has 16 bytes', Code.InvalidArgument)
  }
  return users.map(formatId)
}
