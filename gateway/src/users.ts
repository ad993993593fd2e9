import type { Bus } from '@parley/platform/ports/bus'
import type { Log as Logger } from '@parley/platform/process/logs'
import { channels, decodeUserNotice, type UserNotice } from '@parley/proto/fan-out'
import { type Channel, openChannel } from './channel.ts'
import type { Connection } from './connection.ts'

/** The users who are connected here, each with one subscription to its own channel. */
export interface Users {
  /** Null when the user has too many connections; else resolves once its channel is heard (or the bus is away). */
  attach(connection: Connection, user: string): Promise<void> | null
  detach(connection: Connection): void
  connectionsOf(user: string): Iterable<Connection>
  readonly ids: Iterable<string>
}

export interface UsersParts {
  bus: Bus
  logger: Logger
  maxConnectionsPerUser: number
  /** Never called from inside `attach` or `detach`. */
  onNotice: (connections: ReadonlySet<Connection>, user: string, notice: UserNotice) => void
  onLate: () => void
}

interface ConnectedUser {
  readonly connections: Set<Connection>
  readonly channel: Channel
}

export function createUsers(parts: UsersParts): Users {
  const users = new Map<string, ConnectedUser>()

  function take(user: string, payload: Uint8Array): void {
    const connected = users.get(user)
    if (connected === undefined) return
    try {
      parts.onNotice(connected.connections, user, decodeUserNotice(payload))
    } catch (error) {
      parts.logger.error({ err: error, user }, 'a notice could not be taken in')
    }
  }

  return {
    attach(connection, user) {
      let connected = users.get(user)
      if (connected === undefined) {
        const channel = openChannel({
          bus: parts.bus,
          name: channels.user(user),
          handler: (payload) => take(user, payload),
          onLate: parts.onLate,
        })
        connected = { connections: new Set(), channel }
        users.set(user, connected)
      } else if (connected.connections.size >= parts.maxConnectionsPerUser) return null
      connected.connections.add(connection)
      connection.user = user
      return connected.channel.heard
    },
    detach(connection) {
      if (connection.user === null) return
      const connected = users.get(connection.user)
      connected?.connections.delete(connection)
      if (connected?.connections.size === 0) {
        connected.channel.close()
        users.delete(connection.user)
      }
    },
    connectionsOf: (user) => users.get(user)?.connections ?? [],
    get ids() {
      return users.keys()
    },
  }
}
