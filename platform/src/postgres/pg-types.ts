/** The part of `pg` that we use. MikroORM brings `pg` and hands out its pool; its types are not installed. */
export interface PgPool {
  readonly options: { max: number }
  readonly waitingCount: number
  readonly ending: boolean
  connect(): Promise<PgClient>
  end(): Promise<void>
}

export interface PgClient {
  query(config: PgQuery): Promise<PgResult>
  /** Back to the pool; with `true` or an error the connection is closed instead. */
  release(destroy?: boolean | Error): void
}

export interface PgQuery {
  text: string
  values?: unknown[]
  /** Prepared under this name once a connection, then reused. */
  name?: string
  types?: PgTypes
  /** `extended` also without parameters: then the server takes one statement and no more. */
  queryMode?: 'extended'
  /** The client stops waiting after this many milliseconds; the connection is of no use afterwards. */
  query_timeout?: number
}

export interface PgTypes {
  getTypeParser(oid: number, format?: string): (value: string) => unknown
}

export interface PgResult {
  /** The command's tag, such as `COMMIT`; `ROLLBACK` when a failed transaction was asked to commit. */
  command: string
  rows: unknown[]
}
