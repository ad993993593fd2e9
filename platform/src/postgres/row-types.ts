import type { PgTypes } from './pg-types.ts'

const int8 = 20
const int8Array = 1016
const textArray = 1009

/** The pool's own types, but int8 as number. Throws RangeError beyond 2^53 − 1, rather than round. */
export function rowTypes(pool: PgTypes): PgTypes {
  const list = pool.getTypeParser(textArray, 'text') as (value: string) => (string | null)[]
  return {
    getTypeParser(oid, format) {
      if (format === 'binary') return pool.getTypeParser(oid, format)
      if (oid === int8) return toNumber
      if (oid === int8Array) {
        return (value) => list(value).map((item) => (item === null ? null : toNumber(item)))
      }
      return pool.getTypeParser(oid, format)
    },
  }
}

function toNumber(value: string): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new RangeError(`${value} is beyond 2^53 − 1`)
  return number
}
