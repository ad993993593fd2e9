import type { MikroORM } from '@mikro-orm/postgresql'

/**
 * The database: PostgreSQL through MikroORM. Accounts use its entities; hot paths (the projection, loading,
 * pages of history) use `transaction` and `snapshot` with SQL of their own.
 *
 * Guarantees, the same for every adapter (contract suite: `contract/database.ts`):
 * - Durability: `fsync`, `full_page_writes` and `synchronous_commit` are on, checked at start; a resolved
 *   `transaction` survives a crash of the server.
 * - `transaction` is READ COMMITTED and commits all or nothing; it never runs `work` twice.
 * - `snapshot` is REPEATABLE READ, READ ONLY: every query of one `work` sees the same moment ([R6]).
 * - Calls wait for a connection at most `acquireTimeoutMs` and for a statement at most `statementTimeoutMs`, then
 *   reject. When the server is away they reject with `DatabaseUnavailable`; the next call tries anew.
 */
export interface Database {
  readonly orm: MikroORM
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  snapshot<T>(work: (sql: Sql) => Promise<T>): Promise<T>
  /** Rejects with `DatabaseUnavailable` when the server does not answer within the statement timeout. */
  ping(): Promise<void>
  close(): Promise<void>
}

export interface Sql {
  /**
   * One statement with `$1…` parameters. With a `name` it is prepared once a connection and then reused. int8 comes
   * back as number (all of ours lie below 2^53), bytea as Buffer, uuid as lower-case string.
   */
  query<Row>(text: string, params?: readonly unknown[], name?: string): Promise<Row[]>
}

/** The server is away, starting, or refuses connections; nothing of the call is known to have happened. */
export class DatabaseUnavailable extends Error {
  override readonly name = 'DatabaseUnavailable'
}
