import type { Sql } from '@parley/platform/ports/database'
import type { PgClient, PgTypes } from './pg-types.ts'
import { isUnavailable, named } from './unavailable.ts'

/**
 * SQL on the one connection of a transaction. Queries asked for together run one after the other, in the order
 * asked; after `end` none runs.
 */
export interface PinnedSql extends Sql {
  /** Resolves when every query asked for has settled; later ones are refused. */
  end(): Promise<void>
  /** The connection broke or its state is unknown: it must not go back to the pool. */
  readonly broken: boolean
}

export interface PinnedOptions {
  client: PgClient
  types: PgTypes
  /** How long the client waits for an answer; a little longer than the server's own timeout. */
  answerTimeoutMs: number
}

export function pinSql({ client, types, answerTimeoutMs }: PinnedOptions): PinnedSql {
  let last: Promise<unknown> = Promise.resolve()
  let ended = false
  let broken = false

  async function run<Row>(text: string, params: readonly unknown[], name?: string): Promise<Row[]> {
    try {
      const result = await client.query({
        text,
        values: [...params],
        types,
        queryMode: 'extended',
        query_timeout: answerTimeoutMs,
        ...(name === undefined ? {} : { name }),
      })
      return result.rows as Row[]
    } catch (error) {
      if (isUnavailable(error)) broken = true
      throw named(error)
    }
  }

  return {
    query<Row>(text: string, params: readonly unknown[] = [], name?: string): Promise<Row[]> {
      if (ended) return Promise.reject(new Error('this transaction is over'))
      const turn = last.then(() => run<Row>(text, params, name))
      last = turn.catch(() => {})
      return turn
    },
    async end() {
      ended = true
      await last
    },
    get broken() {
      return broken
    },
  }
}
