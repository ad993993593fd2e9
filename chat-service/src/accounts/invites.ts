import { createHash, randomInt } from 'node:crypto'
import type { Database, Sql } from '@parley/platform/ports/database'
import { type Failure, failure } from '@parley/proto/errors'

/**
 * Invitations to register: a code that whoever runs the server hands out. The table holds its hash alone; a code has
 * 100 random bits, so a plain hash is enough.
 */

/** Crockford's base 32 in lower case: no letter looks like a digit. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const groups = 5
const groupLength = 4
/** How long an expired invitation is kept, so that its bearer is told why. */
const keepExpiredMs = 30 * 24 * 60 * 60_000

export const maxInviteUses = 100_000
export const maxInviteDays = 3_650

export interface NewInvite {
  /** How many may register with it. */
  uses: number
  lifeMs: number
  nowMs: number
  /** The user who invites; absent for whoever runs the server. */
  createdBy?: string
}

/** Makes an invitation and returns its code, which is not kept. */
export async function makeInvite(
  database: Database,
  { uses, lifeMs, nowMs, createdBy }: NewInvite,
): Promise<string> {
  const code = Array.from({ length: groups }, () =>
    Array.from({ length: groupLength }, () => alphabet[randomInt(alphabet.length)]).join(''),
  ).join('-')
  await database.transaction(async (sql) => {
    await sql.query('delete from invites where expires_at < $1', [new Date(nowMs - keepExpiredMs)])
    await sql.query(
      `insert into invites (code_hash, created_at, expires_at, uses_left, created_by)
       values ($1, $2, $3, $4, $5)`,
      [hashOf(code), new Date(nowMs), new Date(nowMs + lifeMs), uses, createdBy ?? null],
    )
  })
  return code
}

/** `forbidden` when the code is unknown, spent or expired. */
export async function checkInvite(
  sql: Sql,
  code: string,
  nowMs: number,
): Promise<Failure | undefined> {
  return refusalOf(await sql.query<InviteRow>(selectInvite, [hashOf(code), new Date(nowMs)]))
}

/** The same, and nobody else can redeem it until the transaction ends. */
export async function lockInvite(
  sql: Sql,
  code: string,
  nowMs: number,
): Promise<Failure | undefined> {
  const params = [hashOf(code), new Date(nowMs)]
  return refusalOf(await sql.query<InviteRow>(`${selectInvite} for update`, params))
}

/** Takes one use of an invitation that this transaction has locked. */
export async function redeemInvite(sql: Sql, code: string): Promise<void> {
  await sql.query('update invites set uses_left = uses_left - 1 where code_hash = $1', [
    hashOf(code),
  ])
}

interface InviteRow {
  uses_left: number
  expired: boolean
}

const selectInvite =
  'select uses_left, expires_at <= $2 as expired from invites where code_hash = $1'

function refusalOf([invite]: InviteRow[]): Failure | undefined {
  if (invite === undefined) return failure('forbidden', 'this invitation is not known')
  if (invite.expired) return failure('forbidden', 'this invitation has expired')
  if (invite.uses_left < 1) return failure('forbidden', 'this invitation has been used up')
  return undefined
}

/** However it was typed: case, spaces and dashes don't count. */
function hashOf(code: string): Buffer {
  return createHash('sha256').update(code.toLowerCase().replace(/[\s-]/g, '')).digest()
}
