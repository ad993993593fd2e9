import { type Client, Code, ConnectError } from '@connectrpc/connect'
import type { RpcConnector } from '@parley/platform/rpc/connector'
import { type Failure, failure } from '@parley/proto/errors'
import { formatId, parseId } from '@parley/proto/ids'
import { DirectoryService } from '@parley/proto/rpc/directory_pb'
import { createGate, type Gate } from './gate.ts'

/** One conversation of a user, as of one snapshot. */
export interface MemberOf {
  conversation: string
  head: number
  from: number
  read: number
  memberCount: number
}

/** As rooms want it, and how many members there are. */
export type MembershipAnswer =
  | { inside: true; head: number; memberCount: number }
  | { inside: false; asOf: number }
  | 'unavailable'

export interface EventsPage {
  /** `event` frames as MessagePack, ascending. */
  frames: Uint8Array[]
  head: number
  from: number
  more: boolean
}

export interface PageRequest {
  user: string
  conversation: string
  after: number
  limit: number
  /** The answer waits until it is no older than this head. */
  knownHead: number
}

/**
 * What the gateway asks chat-service. Failures are values: `unavailable` when it is away or too slow, `not_found` for
 * who is outside, `overloaded` when too much is being asked.
 */
export interface Directory {
  /** Latest first. Users asked for in the same turn of the loop share a call. */
  memberships(user: string): Promise<{ ok: true; list: MemberOf[]; more: boolean } | Failure>
  /** The answer is no older than `knownHead`. */
  membership(user: string, conversation: string, knownHead: number): Promise<MembershipAnswer>
  events(request: PageRequest): Promise<({ ok: true } & EventsPage) | Failure>
  /** The conversation as REST's detail shows it to this member, no older than `knownHead`. */
  info(
    user: string,
    conversation: string,
    knownHead: number,
  ): Promise<{ ok: true; info: Record<string, unknown> } | Failure>
  /** Which of up to 500 users share a conversation with this one, no older than the heads in `known` (at most 64). */
  acquaintances(
    user: string,
    users: readonly string[],
    known: ReadonlyMap<string, number>,
  ): Promise<{ ok: true; users: string[] } | Failure>
  /** Which of these sessions have ended. Sessions asked for in the same turn share a call. */
  hasEnded(session: string): Promise<{ ok: true; ended: boolean } | Failure>
  endedOf(sessions: readonly string[]): Promise<{ ok: true; ended: string[] } | Failure>
  /** A JWK Set as JSON. */
  signingKeys(): Promise<{ ok: true; jwks: string } | Failure>
}

export interface DirectoryOptions {
  rpc: RpcConnector
  address: () => string
  timeoutMs: number
  /** Conversations of one user that are followed. */
  membershipLimit: number
  /** Pages being read at once; beyond, `overloaded`. */
  pagesInFlight: number
}

/** Ids in one call. */
const usersPerCall = 100
const sessionsPerCall = 1_000

export function createDirectory(options: DirectoryOptions): Directory {
  const { rpc, address, timeoutMs, membershipLimit } = options
  const call = { timeoutMs }
  // A hello turned away is told to come again; a check is asked again by who needs it.
  const lists = createGate({ running: 4, waiting: 1_000 })
  const checks = createGate({ running: 32, waiting: 10_000 })
  const pages = createGate({ running: options.pagesInFlight, waiting: 0 })
  const infos = createGate({ running: 32, waiting: 1_000 })
  const acquaintances = createGate({ running: 16, waiting: 1_000 })
  const asked = new Map<string, Promise<MembershipAnswer>>()

  async function ask<T>(
    gate: Gate,
    work: (client: Client<typeof DirectoryService>) => Promise<T>,
  ): Promise<{ ok: true; answer: T } | Failure> {
    try {
      // The address may change between calls, and a connector may throw for one that nobody serves.
      const running = gate.enter(async () => work(rpc.client(DirectoryService, address())))
      if (running === null) return failure('overloaded', 'too much is being read', 1_000)
      return { ok: true, answer: await running }
    } catch (error) {
      return failureOf(error)
    }
  }

  const listMemberships = batched<string, { list: MemberOf[]; more: boolean }>(
    usersPerCall,
    async (users) => {
      const request = { users: users.map(parseId), limit: membershipLimit }
      const asking = await ask(lists, (client) => client.listMemberships(request, call))
      if (!asking.ok) return asking
      const answers = asking.answer.users.map(({ memberships, more }) => ({
        list: memberships.map((m) => ({
          conversation: formatId(m.conversation),
          head: Number(m.head),
          from: Number(m.from),
          read: Number(m.read),
          memberCount: m.memberCount,
        })),
        more,
      }))
      return { ok: true, answers }
    },
  )

  async function endedOf(sessions: readonly string[]) {
    const request = { sessions: sessions.map(parseId) }
    const asking = await ask(lists, (client) => client.checkSessions(request, call))
    return asking.ok ? { ok: true as const, ended: asking.answer.ended.map(formatId) } : asking
  }

  const checkSession = batched<string, boolean>(sessionsPerCall, async (sessions) => {
    const asking = await endedOf(sessions)
    if (!asking.ok) return asking
    const ended = new Set(asking.ended)
    return { ok: true, answers: sessions.map((session) => ended.has(session)) }
  })

  async function membership(user: string, conversation: string, knownHead: number) {
    const request = {
      user: parseId(user),
      conversation: parseId(conversation),
      knownHead: BigInt(knownHead),
    }
    const asking = await ask(checks, (client) => client.getMembership(request, call))
    if (!asking.ok && asking.code !== 'not_found') return 'unavailable' as const
    const found = asking.ok ? asking.answer.membership : undefined
    if (found === undefined) return { inside: false as const, asOf: knownHead }
    return { inside: true as const, head: Number(found.head), memberCount: found.memberCount }
  }

  return {
    async memberships(user) {
      const asking = await listMemberships(user)
      return asking.ok ? { ok: true, ...asking.answer } : asking
    },
    membership(user, conversation, knownHead) {
      // Several connections of one user ask the same at once.
      const key = `${user}${conversation}${knownHead}`
      let asking = asked.get(key)
      if (asking === undefined) {
        asking = membership(user, conversation, knownHead).finally(() => asked.delete(key))
        asked.set(key, asking)
      }
      return asking
    },
    async events({ user, conversation, after, limit, knownHead }) {
      const request = {
        user: parseId(user),
        conversation: parseId(conversation),
        after: BigInt(after),
        limit,
        knownHead: BigInt(knownHead),
      }
      const asking = await ask(pages, (client) => client.readEvents(request, call))
      if (!asking.ok) return asking
      const { frames, head, from, more } = asking.answer
      return { ok: true, frames, head: Number(head), from: Number(from), more }
    },
    async info(user, conversation, knownHead) {
      const request = {
        user: parseId(user),
        conversation: parseId(conversation),
        knownHead: BigInt(knownHead),
      }
      const asking = await ask(infos, async (client) => {
        const { json } = await client.getConversationInfo(request, call)
        return JSON.parse(json) as Record<string, unknown>
      })
      return asking.ok ? { ok: true, info: asking.answer } : asking
    },
    async acquaintances(user, users, known) {
      const heads = [...known].map(([conversation, head]) => ({
        conversation: parseId(conversation),
        head: BigInt(head),
      }))
      const request = { user: parseId(user), users: users.map(parseId), known: heads }
      const asking = await ask(acquaintances, (client) => client.listAcquaintances(request, call))
      return asking.ok ? { ok: true, users: asking.answer.users.map(formatId) } : asking
    },
    async hasEnded(session) {
      const asking = await checkSession(session)
      return asking.ok ? { ok: true, ended: asking.answer } : asking
    },
    async endedOf(sessions) {
      const ended: string[] = []
      for (let i = 0; i < sessions.length; i += sessionsPerCall) {
        const asking = await endedOf(sessions.slice(i, i + sessionsPerCall))
        if (!asking.ok) return asking
        ended.push(...asking.ended)
      }
      return { ok: true, ended }
    },
    async signingKeys() {
      const asking = await ask(lists, (client) => client.getSigningKeys({}, call))
      return asking.ok ? { ok: true, jwks: asking.answer.jwks } : asking
    },
  }
}

function failureOf(error: unknown): Failure {
  const { code } = ConnectError.from(error)
  if (code === Code.NotFound) return failure('not_found', 'there is no such conversation')
  if (code === Code.ResourceExhausted) return failure('overloaded', 'the directory is busy', 1_000)
  if (code === Code.InvalidArgument) return failure('invalid', 'the directory refused the request')
  return failure('unavailable', 'the directory is away')
}

type Batch<A> = { ok: true; answers: A[] } | Failure

/** Gathers what is asked for in one turn of the loop into calls of at most `max`. Answers stand in the order asked. */
function batched<Q, A>(max: number, work: (questions: Q[]) => Promise<Batch<A>>) {
  let waiting: { question: Q; resolve: (answer: { ok: true; answer: A } | Failure) => void }[] = []

  async function send(part: typeof waiting): Promise<void> {
    const batch = await work(part.map(({ question }) => question))
    part.forEach(({ resolve }, i) => {
      if (batch.ok && i < batch.answers.length) {
        resolve({ ok: true, answer: batch.answers[i] as A })
      } else resolve(batch.ok ? failure('internal', 'the directory left one out') : batch)
    })
  }

  function flush(): void {
    const all = waiting
    waiting = []
    for (let i = 0; i < all.length; i += max) void send(all.slice(i, i + max))
  }

  return (question: Q) =>
    new Promise<{ ok: true; answer: A } | Failure>((resolve) => {
      if (waiting.length === 0) setImmediate(flush)
      waiting.push({ question, resolve })
    })
}
