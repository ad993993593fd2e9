/**
 * The log and the database contradict each other, so projecting on could only make it worse: the partition stops until
 * someone has looked ([R4], [R15]). Nothing of the batch was written.
 */
export class ProjectionStopped extends Error {
  override readonly name = 'ProjectionStopped'
  readonly where: StoppedAt
  constructor(where: StoppedAt, reason: string, options?: ErrorOptions) {
    super(`${describe(where)}: ${reason}`, options)
    this.where = where
  }
}

export interface StoppedAt {
  partition: number
  /** The record's offset in the events log. */
  offset: number
  conversation?: string
  seq?: number
}

function describe({ partition, offset, conversation, seq }: StoppedAt): string {
  const record = `events/${partition} at offset ${offset}`
  return conversation === undefined ? record : `${record}, conversation ${conversation} seq ${seq}`
}
