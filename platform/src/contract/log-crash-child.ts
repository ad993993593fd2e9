import { writeSync } from 'node:fs'
import type { Log } from '@parley/platform/ports/log'

/**
 * Appends groups of three records to each partition, several at once, for ever, and says on stdout what was
 * acknowledged: `partition offset name`. Its parent kills it.
 *
 *     node log-crash-child.ts <module with openInChild> <settings as JSON> <topic> <partitions> <name>
 */
const [module, settings, topic, partitions, name] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
]
const { openInChild } = (await import(module)) as {
  openInChild(settings: unknown): Promise<Log>
}
const log = await openInChild(JSON.parse(settings))

async function append(partition: number, writer: number): Promise<never> {
  for (let count = 0; ; count++) {
    const text = `${name}.${writer}.${count}`
    const { offset } = await log.append(
      topic,
      partition,
      [0, 1, 2].map((part) => ({
        headers: { schema: '1' },
        value: Buffer.from(`${text}.${part}`),
      })),
    )
    // Synchronous, so that the parent knows everything that was acknowledged before the kill.
    writeSync(1, `${partition} ${offset} ${text}\n`)
  }
}

for (let partition = 0; partition < Number(partitions); partition++) {
  for (const writer of [0, 1, 2]) void append(partition, writer)
}
