import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { closeCodes, errors } from './errors.ts'
import { clientFrames, eventBodies, serverFrames } from './frame-table.ts'
import { limits } from './limits.ts'
import { fieldsInWords, recordRowsOf, rowOf } from './spec-words.ts'
import {
  accessTokenAlgorithm,
  accessTokenAudience,
  accessTokenIssuer,
  accessTokenToleranceSeconds,
  accessTokenType,
} from './tokens.ts'

/** SPEC.md says what the tables of this package say. That tests prove its rules, tests/spec/rules.ts holds. */

const spec = await readFile(join(import.meta.dirname, '../SPEC.md'), 'utf8')
const section = (letter: string) =>
  spec.split(/\n## /).find((part) => part.startsWith(`${letter} `)) ?? ''

/** Rows of the tables in a text, as lists of cells. */
const tableRows = (text: string) =>
  text
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) =>
      line
        .slice(1, -1)
        .split(' | ')
        .map((cell) => cell.trim()),
    )
const rowsIn = (letter: string) => tableRows(section(letter))

describe('SPEC.md', () => {
  it('[F14] has every frame as the frame table has it, and no other', () => {
    const frames = [...clientFrames, ...serverFrames]
    const rows = rowsIn('F').filter(([first]) => /^\d+$/.test(first ?? ''))
    expect(rows.map((row) => row.slice(0, 3))).toEqual(frames.map(rowOf))
    const records = rowsIn('F').filter(([first]) => /^`\w+\.\w+`$/.test(first ?? ''))
    expect(records).toEqual(frames.flatMap(recordRowsOf))
  })

  it('[B5] has the body of every kind of event', () => {
    for (const [kind, type] of Object.entries(eventBodies)) {
      const [, body] = rowsIn('B').find(([kinds]) => kinds?.includes(`\`${kind}\``)) ?? []
      if (type === null) expect(body).toBe('none')
      else if (type.kind === 'messageBody') expect(body).toBe('[B1]')
      else expect(body).toBe(fieldsInWords('fields' in type ? type.fields : []))
    }
  })

  it('[E1] has every error with its status and whether it may be retried', () => {
    const rows = rowsIn('E').filter(([code]) => code?.startsWith('`'))
    const told = rows.map(([code, status, retryable]) => [code, status, retryable])
    expect(told).toEqual(
      Object.entries(errors).map(([code, { status, retryable }]) => [
        `\`${code}\``,
        String(status),
        retryable ? 'yes' : 'no',
      ]),
    )
  })

  it('[X1] has every close code with what a client does then', () => {
    const rows = rowsIn('X').filter(([code]) => /^\d+$/.test(code ?? ''))
    const told = rows.map(([code, reason, reconnect]) => [code, reason?.split('`')[1], reconnect])
    expect(told).toEqual(
      Object.entries(closeCodes).map(([reason, { code, reconnect }]) => [
        String(code),
        reason,
        reconnect,
      ]),
    )
  })

  it('[L1] has every limit with its value', () => {
    const rows = rowsIn('L').filter(([name]) => name?.startsWith('`'))
    expect(rows.map(([name, value]) => [name, value])).toEqual(
      Object.entries(limits).map(([name, value]) => [`\`${name}\``, String(value)]),
    )
  })

  it('[T1] [T2] [T4] has the values of an access token', () => {
    const said = section('T')
    expect(said).toContain(`\`alg: "${accessTokenAlgorithm}"\`, \`typ: "${accessTokenType}"\``)
    expect(said).toContain(`\`iss: "${accessTokenIssuer}"\`, \`aud: "${accessTokenAudience}"\``)
    expect(said).toContain(`differ by ${accessTokenToleranceSeconds} s`)
  })

  it('gives no id to two rules', () => {
    const ids = [...spec.matchAll(/^- \*\*\[([A-Z]\d+)\]\*\*/gm)].map(([, id]) => id)
    expect(ids.length).toBeGreaterThan(100)
    expect(new Set(ids).size).toBe(ids.length)
  })
})
