/** Rows of one statement: beyond, another one follows. More of them win nothing and hold the server's memory. */
const statementRows = 1_000

/** A call of `write` for each part of the rows, in order; none when there are none. */
export function inParts<T>(
  rows: readonly T[],
  write: (part: readonly T[]) => Promise<unknown>,
): Promise<unknown>[] {
  const writes: Promise<unknown>[] = []
  for (let at = 0; at < rows.length; at += statementRows) {
    writes.push(write(rows.slice(at, at + statementRows)))
  }
  return writes
}
