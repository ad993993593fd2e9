/**
 * Columns of a multi-row statement as PostgreSQL's binary arrays (`array_recv` in src/backend/utils/adt/arrayfuncs.c):
 * `pg` sends a Buffer as a binary parameter, so one statement, prepared once, takes any number of rows for
 * `unnest($1::uuid[], …)`, and ids and bodies go as they are. Ids are 16 bytes; a value that doesn't fit its type throws.
 */

/** Type numbers of the elements: src/include/catalog/pg_type.dat. */
const oids = { bytea: 17, int8: 20, int2: 21, int4: 23, text: 25, uuid: 2950 } as const

const headBytes = 20

export function uuids(ids: readonly (Uint8Array | null)[]): Buffer {
  return variable(oids.uuid, ids)
}

export function byteas(values: readonly (Uint8Array | null)[]): Buffer {
  return variable(oids.bytea, values)
}

export function texts(values: readonly (string | null)[]): Buffer {
  return variable(
    oids.text,
    values.map((v) => (v === null ? null : Buffer.from(v, 'utf8'))),
  )
}

/** Whole numbers up to 2^53 − 1 either side of 0. */
export function int8s(values: readonly number[]): Buffer {
  return fixed(oids.int8, 8, values, (out, value, at) => {
    if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is no whole number`)
    out.writeInt32BE(Math.floor(value / 0x1_0000_0000), at)
    out.writeUInt32BE(value >>> 0, at + 4)
  })
}

export function int4s(values: readonly number[]): Buffer {
  return fixed(oids.int4, 4, values, (out, value, at) => out.writeInt32BE(value, at))
}

export function int2s(values: readonly number[]): Buffer {
  return fixed(oids.int2, 2, values, (out, value, at) => out.writeInt16BE(value, at))
}

function fixed(
  oid: number,
  size: number,
  values: readonly number[],
  write: (out: Buffer, value: number, at: number) => void,
): Buffer {
  const out = Buffer.allocUnsafe(headBytes + values.length * (4 + size))
  let at = head(out, oid, values.length, false)
  for (const value of values) {
    out.writeInt32BE(size, at)
    write(out, value, at + 4)
    at += 4 + size
  }
  return out.subarray(0, at)
}

function variable(oid: number, values: readonly (Uint8Array | null)[]): Buffer {
  let bytes = 0
  let nulls = false
  for (const value of values) {
    if (value === null) nulls = true
    else bytes += value.length
  }
  const out = Buffer.allocUnsafe(headBytes + values.length * 4 + bytes)
  let at = head(out, oid, values.length, nulls)
  for (const value of values) {
    out.writeInt32BE(value === null ? -1 : value.length, at)
    at += 4
    if (value === null) continue
    out.set(value, at)
    at += value.length
  }
  return out.subarray(0, at)
}

/** Dimensions, whether there are nulls, type; then of the one dimension its length and first index. */
function head(out: Buffer, oid: number, length: number, nulls: boolean): number {
  out.writeInt32BE(length === 0 ? 0 : 1, 0)
  out.writeInt32BE(nulls ? 1 : 0, 4)
  out.writeInt32BE(oid, 8)
  if (length === 0) return 12
  out.writeInt32BE(length, 12)
  out.writeInt32BE(1, 16)
  return headBytes
}
