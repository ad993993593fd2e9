import type { Assignment, Consumer, LogRecord } from '@parley/platform/ports/log'

export interface ProbeOptions {
  deadlineMs: number
  /** The committed offset, or 0, unless told. */
  start?(assignment: Assignment): number
  /** What the reader does with a batch; nothing unless told. */
  read?(assignment: Assignment, records: LogRecord[]): Promise<void>
  assigned?(assignment: Assignment): Promise<void>
  revoked?(assignment: Assignment): Promise<void>
  /** Partitions in somebody's hands, shared by the probes of one group without zombies. */
  held?: Set<number>
}

export interface Probe {
  readonly consumer: Consumer
  /** Every assignment so far, in order. */
  readonly assignments: { assignment: Assignment; revoked: number; reads: number }[]
  /** What was read, in order. */
  readonly records: { partition: number; record: LogRecord }[]
  readonly failures: { partition: number; error: Error }[]
  /** Waits until the condition holds, looked at after each thing that happens; rejects with `what`, or what it throws. */
  until(what: string, condition: () => boolean): Promise<void>
  /** Throws what broke a rule that always holds: offsets rise by 1, one batch at a time, one holder, one revoke. */
  assertSound(): void
}

/** A consumer that writes down what happens to it. */
export function createProbe(options: ProbeOptions): Probe {
  const { held } = options
  const assignments: Probe['assignments'] = []
  const records: Probe['records'] = []
  const failures: Probe['failures'] = []
  const violations: string[] = []
  const watchers = new Set<() => void>()

  function happened(): void {
    for (const watch of watchers) watch()
  }

  const consumer: Consumer = {
    async assigned(assignment) {
      const { partition } = assignment
      const entry = { assignment, revoked: 0, reads: 0 }
      let reading = false
      if (held?.has(partition)) violations.push(`partition ${partition} was given to two`)
      held?.add(partition)
      assignments.push(entry)
      happened()
      await options.assigned?.(assignment)
      const start = options.start?.(assignment) ?? assignment.committed ?? 0
      let expected = start
      return {
        start,
        async read(batch) {
          if (reading)
            violations.push(`partition ${partition}: a batch came before the last was done`)
          if (entry.revoked > 0) violations.push(`partition ${partition}: a batch after revoked`)
          if (batch.length === 0) violations.push(`partition ${partition}: an empty batch`)
          for (const record of batch) {
            if (record.offset !== expected) {
              violations.push(
                `partition ${partition}: ${record.offset} came where ${expected} was due`,
              )
            }
            expected = record.offset + 1
            records.push({ partition, record })
          }
          entry.reads += 1
          reading = true
          happened()
          try {
            await options.read?.(assignment, batch)
          } finally {
            reading = false
            happened()
          }
        },
        async revoked() {
          entry.revoked += 1
          held?.delete(partition)
          if (reading) violations.push(`partition ${partition}: revoked during a read`)
          if (entry.revoked > 1) violations.push(`partition ${partition}: revoked twice`)
          if (!assignment.signal.aborted)
            violations.push(`partition ${partition}: signal not aborted`)
          happened()
          await options.revoked?.(assignment)
        },
      }
    },
    failed(partition, error) {
      held?.delete(partition)
      failures.push({ partition, error })
      happened()
    },
  }

  function assertSound(): void {
    if (violations.length > 0) throw new Error(violations.slice(0, 3).join('; '))
  }

  function until(what: string, condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        watchers.delete(look)
        reject(new Error(`within ${options.deadlineMs} ms not: ${what}`))
      }, options.deadlineMs)
      const finish = (error: unknown) => {
        watchers.delete(look)
        clearTimeout(timer)
        if (error === null) resolve()
        else reject(error)
      }
      const look = () => {
        try {
          assertSound()
          if (condition()) finish(null)
        } catch (error) {
          finish(error)
        }
      }
      watchers.add(look)
      look()
    })
  }

  return { consumer, assignments, records, failures, until, assertSound }
}
