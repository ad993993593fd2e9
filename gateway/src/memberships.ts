import type { UserNotice } from '@parley/proto/fan-out'
import type { Connection } from './connection.ts'
import type { ConversationNotices } from './conversation-notices.ts'
import type { Directory, MemberOf } from './directory.ts'
import type { FanOut, HeldRoom } from './fan-out.ts'
import { resolvedWithin } from './settled-within.ts'
import type { Users } from './users.ts'

/** Keeps connections bound to the rooms of their users' conversations. */
export interface Memberships {
  /**
   * Holds the rooms of a list, waits until they are heard, and binds the connection to them. Returns the list with
   * the head that each reader starts from. Null when the connection closed meanwhile.
   */
  bind(connection: Connection, user: string, list: readonly MemberOf[]): Promise<MemberOf[] | null>
  /** A notice of the user's channel: after the events that came before it. */
  notice(connection: Connection, notice: UserNotice): void
  /** What waited for `bind` has its turn. */
  bound(connection: Connection): void
  admit(connection: Connection, conversation: string, seq: number): void
  /** The users that are connected here. */
  userIds(): string[]
  /** Publishes may have been missed: what these users are in is held against the directory. Returns who could not be. */
  check(users: readonly string[]): Promise<string[]>
}

export interface MembershipChange {
  type: 'added' | 'removed'
  conversation: string
  seq: number
}

export interface MembershipsParts {
  fanOut: FanOut
  users: Users
  directory: Pick<Directory, 'memberships'>
  notices: ConversationNotices
  /** The user of this connection was added or removed by event `seq`, or is said to have been. */
  onChange: (connection: Connection, change: MembershipChange) => void
  onRead: (connection: Connection, notice: UserNotice & { type: 'read' }) => void
  /** How long a hello waits for the bus; then it goes on, and hears what it missed once the bus is back. */
  subscribeWaitMs: number
  /** Conversations that one connection follows. */
  maxConversations: number
  /** Notices that may wait for one connection's hello; beyond, it is closed and comes again. */
  maxNotices: number
}

export function createMemberships(parts: MembershipsParts): Memberships {
  const { fanOut, users, directory, notices } = parts

  function join(connection: Connection, held: HeldRoom, member: MemberOf): number {
    const user = connection.user as string
    const reader = held.room.join(connection, user, member.head)
    reader.read = member.read
    connection.readers.set(member.conversation, reader)
    return reader.next - 1
  }

  function admit(connection: Connection, conversation: string, seq: number): void {
    const known = connection.readers.get(conversation)
    if (known !== undefined) {
      known.room.readmit(known, seq)
      return
    }
    const user = connection.user as string
    const held = fanOut.hold(conversation, { head: seq })
    const followed = connection.readers.size < parts.maxConversations
    if (!held.room.removedSince(user, seq)) {
      if (followed) {
        const reader = held.room.admit(connection, user, seq)
        connection.readers.set(conversation, reader)
        notices.added(reader, seq)
        return
      }
      notices.addedUnfollowed(connection, conversation, seq)
    }
    fanOut.release(held)
  }

  function apply(connection: Connection, notice: UserNotice): void {
    if (!connection.open || notice.type === 'revoked') return
    const { conversation, seq } = notice
    const reader = connection.readers.get(conversation)
    switch (notice.type) {
      case 'added':
        admit(connection, conversation, seq)
        parts.onChange(connection, notice)
        return
      case 'removed':
        reader?.room.expel(reader, seq)
        parts.onChange(connection, notice)
        return
      case 'updated':
        if (reader !== undefined) notices.changed(reader, seq)
        return
      case 'read':
        parts.onRead(connection, notice)
    }
  }

  async function checkUser(user: string): Promise<void> {
    const answered = await directory.memberships(user)
    if (!answered.ok) throw new Error(answered.message)
    const inside = new Map(answered.list.map((member) => [member.conversation, member]))
    for (const connection of users.connectionsOf(user)) {
      if (!connection.bound || !connection.open) continue
      for (const member of inside.values()) {
        const reader = connection.readers.get(member.conversation)
        if (reader === undefined) rejoin(connection, member)
        else reader.room.announce(member.head)
      }
      if (answered.more) continue
      for (const [conversation, reader] of connection.readers) {
        if (!inside.has(conversation)) reader.room.doubt(reader)
      }
    }
  }

  /** The notice that added this user was missed. */
  function rejoin(connection: Connection, member: MemberOf): void {
    const { conversation, head } = member
    const { room } = fanOut.hold(conversation, member)
    const reader = room.joinUnknown(connection, connection.user as string, head)
    reader.read = member.read
    connection.readers.set(conversation, reader)
    notices.added(reader, head)
    parts.onChange(connection, { type: 'added', conversation, seq: head })
  }

  return {
    async bind(connection, user, list) {
      const held = list.map((member) => fanOut.hold(member.conversation, member))
      const heard = Promise.all(held.map(({ channel }) => channel.heard))
      await resolvedWithin(heard, parts.subscribeWaitMs)
      if (!connection.open || connection.user !== user) {
        for (const one of held) fanOut.release(one)
        return null
      }
      return list.map((member, i) => {
        const head = join(connection, held[i] as HeldRoom, member)
        return { ...member, head: Math.max(head, member.head) }
      })
    },
    notice(connection, notice) {
      if (notice.type === 'revoked') {
        const { session, sessionId } = connection
        if (notice.session === undefined || notice.session === sessionId) session.revoked()
        return
      }
      if (connection.bound) {
        fanOut.afterEvents(() => apply(connection, notice))
      } else if (connection.notices.length < parts.maxNotices) connection.notices.push(notice)
      else connection.session.overflowed()
    },
    bound(connection) {
      connection.bound = true
      for (const notice of connection.notices.splice(0)) {
        fanOut.afterEvents(() => apply(connection, notice))
      }
    },
    admit,
    userIds: () => [...users.ids],
    async check(ids) {
      const failed: string[] = []
      for (let i = 0; i < ids.length; i += usersAtOnce) {
        const some = ids.slice(i, i + usersAtOnce)
        const results = await Promise.allSettled(some.map(checkUser))
        failed.push(...some.filter((_, n) => results[n]?.status === 'rejected'))
      }
      return failed
    },
  }
}

/** So many users are looked up at once when everything must be checked. */
const usersAtOnce = 100
