import type { MikroORM } from '@mikro-orm/postgresql'

/**
 * The database: PostgreSQL through MikroORM. Accounts use its entities; hot paths (the projection, loading,
 * pages of history) use `transaction` and `snapshot` with SQL of their own.
 *
 * Guarantees, the same for every adapter (contract suite: `contract/database.ts`, whose tests carry these ids):
 * - [DB1] Durability: a resolved `transaction` survives a crash of the server.
 * - [DB2] `transaction` commits all or nothing, and rejects when anything in it failed, caught or not; it never runs
 *   `work` twice.
 * - [DB3] `transaction` is READ COMMITTED on one connection; statements run one after the other in the order asked, and
 *   none after it has settled.
 * - [DB4] `snapshot` is REPEATABLE READ, READ ONLY: every query of one `work` sees the same moment ([R6]).
 * - [DB5] A named statement is prepared once a connection; a name with another text is refused.
 * - [DB6] Types are those of `Sql.query`. An int8 beyond 2^53 is refused, never rounded.
 * - [DB7] Calls wait for a connection at most `acquireTimeoutMs`, and at most `waitingMax` of them wait, then reject with
 *   `DatabaseUnavailable`. A statement that takes longer than `statementTimeoutMs` rejects with SQLSTATE 57014. However a
 *   call ends, its connection comes back or is replaced.
 * - [DB8] When the server is away calls reject with `DatabaseUnavailable`; the next call tries anew. A connection that
 *   dies while idle hurts nobody.
 * - [DB9] A server that is older than PostgreSQL 15 or has `fsync`, `full_page_writes` or `synchronous_commit` off is
 *   refused, at start and on every new connection.
 * - [DB10] `close` waits for what runs, in bounds; later calls reject.
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
