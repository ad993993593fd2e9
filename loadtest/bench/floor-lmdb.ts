import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { open } from 'lmdb'

/**
 * The floor of the log: the same bytes put into a bare LMDB with the same settings, one durable commit a record, as
 * many messages in a record as were seen. Prints CPU and time a message.
 */

export interface CommitPlan {
  messages: number
  /** In one record, which is one commit. */
  messagesPerRecord: number
  bytesPerMessage: number
  /** Appended for each message: its command, and its event. */
  copies: number
}

const plan = JSON.parse(process.argv[2] as string) as CommitPlan
const folder = await mkdtemp(join(tmpdir(), 'parley-floor-lmdb-'))
try {
  const root = open<Buffer, number>({
    path: join(folder, 'floor.mdb'),
    encoding: 'binary',
    overlappingSync: false,
    eventTurnBatching: false,
  })
  const records = Math.ceil((plan.messages / plan.messagesPerRecord) * plan.copies)
  const value = randomBytes(Math.round(plan.bytesPerMessage * plan.messagesPerRecord))
  for (let i = 0; i < 20; i++) await root.put(i, value)
  const began = performance.now()
  const before = process.cpuUsage()
  for (let i = 0; i < records; i++) await root.put(1_000 + i, value)
  const cpu = process.cpuUsage(before)
  const ms = performance.now() - began
  await root.close()
  console.log(
    JSON.stringify({
      cpuUsPerMessage: (cpu.user + cpu.system) / plan.messages,
      usPerCommit: (ms * 1_000) / records,
    }),
  )
} finally {
  await rm(folder, { recursive: true, force: true })
}
