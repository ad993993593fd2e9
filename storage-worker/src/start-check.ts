/** Throws when a partition can't be read from where the database stands: log and database don't fit together. */
export function checkStart(
  name: string,
  start: number,
  log: { earliest: number; next: number },
): void {
  if (start < log.earliest) {
    throw new Error(
      `${name}: the database is at offset ${start}, the log has nothing before ${log.earliest}: restore a later backup of the database`,
    )
  }
  if (start > log.next) {
    throw new Error(
      `${name}: the database is at offset ${start}, the log ends at ${log.next}: this is an older copy of the log, or it has lost records`,
    )
  }
}
