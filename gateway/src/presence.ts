import type { RpcConnector } from '@parley/platform/rpc/connector'
import { type PresenceState, presenceStates } from '@parley/proto/frames'
import { parseId } from '@parley/proto/ids'
import { PresenceService } from '@parley/proto/rpc/presence_pb'
import type { UserPresence } from '@parley/proto/session-records'

/** What the gateway asks presence-service. */
export interface PresenceSource {
  /** In the order of `users`, at most 1,000; null when it is away. */
  ask(users: readonly string[]): Promise<UserPresence[] | null>
}

export function createPresenceSource(options: {
  rpc: RpcConnector
  address: () => string
  timeoutMs: number
}): PresenceSource {
  const { rpc, address, timeoutMs } = options
  return {
    async ask(users) {
      try {
        const client = rpc.client(PresenceService, address())
        const answer = await client.getPresence({ users: users.map(parseId) }, { timeoutMs })
        if (answer.users.length !== users.length) return null
        return answer.users.map(({ state, lastSeen }, i) => {
          const id = users[i] as string
          const known = isState(state) ? state : 'offline'
          return lastSeen === undefined
            ? { id, state: known }
            : { id, state: known, lastSeen: Number(lastSeen) }
        })
      } catch {
        return null
      }
    },
  }
}

function isState(state: string): state is PresenceState {
  return (presenceStates as readonly string[]).includes(state)
}
