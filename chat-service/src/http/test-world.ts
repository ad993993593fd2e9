import type { CommandDraft, OnReply } from '@parley/platform/command-writer/command-writer'
import { createMemoryBus } from '@parley/platform/memory/bus'
import type { Bus } from '@parley/platform/ports/bus'
import type { Database } from '@parley/platform/ports/database'
import { openTestDatabase, type TestDatabase } from '@parley/platform/postgres/test-database'
import { createMetrics, type Metrics } from '@parley/platform/process/metrics'
import { createSendLimiter } from '@parley/platform/send-limiter/send-limiter'
import type { Rate } from '@parley/platform/send-limiter/token-bucket'
import type { Cursor } from '@parley/proto/cursor-records'
import { type ErrorCode, errors as errorTable, type Failure } from '@parley/proto/errors'
import { eventKindCodes } from '@parley/proto/event-frame'
import { pack } from '@parley/proto/pack'
import type { FastifyInstance, InjectOptions } from 'fastify'
// biome-ignore lint/style/noRestrictedImports: tests need the tables, which another service's migrations make.
import { schema001 } from '../../../storage-worker/src/migrations/schema-001.sql.ts'
import { type Accounts, type AccountsConfig, createAccounts } from '../accounts/accounts.ts'
import { accountEntities } from '../accounts/entities.ts'
import { createChanges } from '../conversations/changes.ts'
import { limitSends } from '../conversations/limited-writer.ts'
import { createProjectedHeads, type ProjectedHeads } from '../conversations/projected-heads.ts'
import { createReadPositions } from '../conversations/read-positions.ts'
import { createShownPositions } from '../conversations/shown-positions.ts'
import { createHttpApi } from './http-api.ts'

export { schema001 }

/** The HTTP API on a real PostgreSQL, for tests; the log behind it is a stub that answers as it is told. */

export const testAccounts: AccountsConfig = {
  registration: 'open',
  accessTokenSeconds: 900,
  refreshTokenDays: 60,
  keySecret: 'the key secret of these tests, 32 bytes and more',
  keyRotationDays: 30,
}

export const testPassword = 'correct horse battery'

/** What the stub does with a command. It decides nothing: what a real log would answer is in the sequencer's tests. */
export type StubAnswer = (draft: CommandDraft) => StubReply | Failure | Promise<StubReply>
export type StubReply =
  | { seq: number; at: number; duplicate?: boolean }
  | { code: ErrorCode; message: string; retryAfterMs?: number }

export interface StubWriter {
  answer: StubAnswer
  drafts: CommandDraft[]
  submit(draft: CommandDraft, onReply: OnReply): { ok: true } | Failure
}

function stubWriter(): StubWriter {
  const writer: StubWriter = {
    drafts: [],
    answer: () => ({ code: 'internal', message: 'this test set no answer' }),
    submit(draft, onReply) {
      writer.drafts.push(draft)
      const answer = writer.answer(draft)
      if ('ok' in answer) return answer
      void Promise.resolve(answer).then((reply) => {
        const { id, conversation } = draft
        onReply(
          'code' in reply
            ? { type: 'error', id, retryable: errorTable[reply.code].retryable, ...reply }
            : { type: 'ack', id, conversation, ...reply },
          new Uint8Array(),
        )
      })
      return { ok: true }
    },
  }
  return writer
}

export interface Person {
  id: string
  username: string
  accessToken: string
  refreshToken: string
}

export interface TestWorld {
  app: FastifyInstance
  database: Database
  bus: Bus
  accounts: Accounts
  heads: ProjectedHeads
  writer: StubWriter
  /** Positions that REST wrote; the stub behind it stores each as storage-worker would. */
  cursors: Cursor[]
  metrics: Metrics
  /** What was logged as an error. */
  errors: unknown[]
  /** A new user, signed in. */
  person(username?: string): Promise<Person>
  call(who: Person | undefined, options: InjectOptions): Promise<Answer>
  close(): Promise<void>
}

export interface Answer {
  status: number
  headers: Record<string, unknown>
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every form.
  body: any
}

export function openTables(): Promise<TestDatabase> {
  return openTestDatabase({ entities: accountEntities, statements: schema001 })
}

export async function openTestWorld(
  config: Partial<AccountsConfig> = {},
  on?: Pick<TestDatabase, 'db' | 'close'>,
  rate: Rate = { perSecond: 0, burst: 1 },
): Promise<TestWorld> {
  const tables = on ?? (await openTables())
  const { db: database } = tables
  const bus = createMemoryBus()
  const accounts = await createAccounts({ ...testAccounts, ...config }, { database, bus })
  const heads = await createProjectedHeads({ bus, database, partitions: 4 })
  const writer = stubWriter()
  const metrics = createMetrics()
  const errors: unknown[] = []
  const changes = createChanges({
    writer: limitSends(writer, createSendLimiter(rate), Date.now),
    ...{ heads, database, users: accounts.users },
  })
  const cursors: Cursor[] = []
  const shown = createShownPositions({ database })
  const readPositions = createReadPositions({
    cursors: {
      advance(cursor) {
        cursors.push(cursor)
        return true
      },
      flushed: () => storePositions(database, cursors),
    },
    log: { partitions: () => 4, range: async () => ({ earliest: 0, next: 0 }) },
    ...{ heads, shown, bus, database, logger: { debug() {} } },
  })
  const app = await createHttpApi(
    { gatewayUrls: () => ['ws://127.0.0.1:8081/ws'] },
    {
      accounts,
      changes,
      readPositions,
      database,
      log: { error: (what: unknown) => void errors.push(what) },
      metrics,
    },
  )

  async function call(who: Person | undefined, options: InjectOptions): Promise<Answer> {
    const headers = who ? { authorization: `Bearer ${who.accessToken}` } : {}
    const response = await app.inject({ ...options, headers: { ...headers, ...options.headers } })
    const isJson = String(response.headers['content-type'] ?? '').includes('json')
    return {
      status: response.statusCode,
      headers: response.headers,
      body: isJson ? response.json() : response.body,
    }
  }

  let persons = 0
  return {
    app,
    database,
    bus,
    accounts,
    heads,
    writer,
    cursors,
    metrics,
    errors,
    call,
    async person(username = `person-${++persons}`) {
      const { status, body } = await call(undefined, {
        method: 'POST',
        url: '/v1/auth/register',
        payload: { username, password: testPassword },
      })
      if (status !== 201) throw new Error(`registered with ${status}: ${JSON.stringify(body)}`)
      const { accessToken, refreshToken } = body
      return { id: body.user.id, username, accessToken, refreshToken }
    },
    async close() {
      await app.close()
      shown.close()
      await heads.close()
      await accounts.close()
      await bus.close()
      await tables.close()
    },
  }
}

async function storePositions(database: Database, cursors: readonly Cursor[]): Promise<void> {
  await database.transaction(async (sql) => {
    for (const { conversation, user, seq } of cursors) {
      await sql.query(
        `update members set read_seq = greatest(read_seq, $3)
         where conversation_id = $1 and user_id = $2`,
        [conversation, user, seq],
      )
    }
  })
}

export interface StoredConversation {
  id: string
  kind?: string
  title?: string
  history?: string
  head: number
  lastAt?: number
  members: { user: string; role?: string; from?: number; read?: number }[]
}

/** Rows as storage-worker would leave them. */
export async function storeConversation(
  database: Database,
  { members, ...c }: StoredConversation,
): Promise<void> {
  await database.transaction(async (sql) => {
    await sql.query(
      `insert into conversations (id, kind, title, history, head, last_at, last_epoch, last_offset,
         last_index, created_at, created_hash, member_count)
       values ($1, $2, $3, $4, $5, $6, 1, 0, 0, 0, '', $7)`,
      [
        c.id,
        c.kind ?? 'group',
        c.title ?? null,
        c.history ?? 'all',
        c.head,
        c.lastAt ?? 1_000,
        members.length,
      ],
    )
    for (const m of members) {
      await sql.query(
        `insert into members (conversation_id, user_id, role, from_seq, joined_seq, read_seq)
         values ($1, $2, $3, $4, $4, $5)`,
        [c.id, m.user, m.role ?? 'member', m.from ?? 1, m.read ?? 0],
      )
    }
  })
}

export interface StoredEvent {
  conversation: string
  seq: number
  id: string
  kind: number
  sender: string
  at?: number
  /** A message without one is deleted. */
  body?: unknown
  target?: string
}

export async function storeEvents(database: Database, events: StoredEvent[]): Promise<void> {
  await database.transaction(async (sql) => {
    for (const e of events) {
      await sql.query(
        `insert into messages (conversation_id, seq, id, kind, sender, at, target, body, deleted_seq, hash, epoch,
           command_offset, command_index)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', 1, 0, 0)`,
        [
          e.conversation,
          e.seq,
          e.id,
          e.kind,
          e.sender,
          e.at ?? e.seq,
          e.target ?? null,
          e.body === undefined ? null : pack(e.body),
          e.body === undefined && e.kind === eventKindCodes.message ? e.seq + 1 : null,
        ],
      )
    }
  })
}
