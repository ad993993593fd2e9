import { createHmac } from 'node:crypto'

/**
 * A backup's form, version 1: a plain first line, a gzip stream of lines, and a plain last line with the SHA-256 of
 * everything before it. In the stream a line that begins with `#` is one of `ArchiveLine`; any other is a row of the table
 * that the last `table` line named, as PostgreSQL's `row_to_json` writes it.
 */
export const archiveVersion = 1

export const firstLine = (version: number) => `parley-backup ${version}\n`
export const firstLinePattern = /^parley-backup (\d{1,6})\n/
export const lastLine = (sha256: string) => `sha256 ${sha256}\n`
export const lastLinePattern = /^sha256 ([0-9a-f]{64})\n$/
export const lastLineBytes = lastLine('0'.repeat(64)).length
/** No row comes near it; a longer line is damage. */
export const lineBytesMax = 16 * 1024 * 1024

export interface ArchivedTable {
  name: string
  columns: string[]
}

/**
 * Without the secret under which signing keys are sealed and refresh tokens made, every session would end. One that was set
 * by PARLEY_KEY_SECRET is kept apart from the data on purpose, so the archive holds only what tells whether it is the same.
 */
export type ArchivedKeySecret = { secret: string } | { check: string }

export type ArchiveLine =
  | {
      type: 'header'
      /** ISO 8601. */
      madeAt: string
      /** Those that the tables' form is of, in order. */
      migrations: string[]
      keySecret: ArchivedKeySecret
      /** In an order in which none needs a later one. */
      tables: ArchivedTable[]
    }
  | { type: 'table'; name: string }
  /** `sha256` is over the rows' lines, each with its line feed. */
  | { type: 'end'; name: string; rows: number; sha256: string }
  /** The last line; `rows` are those of all tables. */
  | { type: 'close'; rows: number }

export type ArchiveHeader = ArchiveLine & { type: 'header' }

export function formatLine(line: ArchiveLine): string {
  return `#${JSON.stringify(line)}\n`
}

export function keySecretCheck(secret: string): string {
  return createHmac('sha256', secret).update('parley backup').digest('hex')
}
