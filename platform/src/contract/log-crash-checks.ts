import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { LogCheck, LogHarness } from './log-harness.ts'
import { readAll, textOf } from './log-ledger.ts'

interface Acknowledged {
  partition: number
  offset: number
  text: string
}

const partitions = 2

/** Runs the writing process until it has reported so many appends, kills it, and tells what it had reported. */
async function writeAndKill(
  harness: LogHarness,
  name: string,
  appends: number,
): Promise<Acknowledged[]> {
  const { module, settings } = harness.child
  const script = fileURLToPath(new URL('./log-crash-child.ts', import.meta.url))
  const child = spawn(
    process.execPath,
    [script, module, JSON.stringify(settings), harness.topic, String(partitions), name],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const exited = once(child, 'exit')
  const deadline = setTimeout(() => child.kill('SIGKILL'), harness.deadlineMs)
  const acknowledged: Acknowledged[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    const [partition, offset, text] = line.split(' ')
    acknowledged.push({
      partition: Number(partition),
      offset: Number(offset),
      text: text as string,
    })
    if (acknowledged.length === appends) child.kill('SIGKILL')
  }
  clearTimeout(deadline)
  await exited
  assert.ok(acknowledged.length >= appends, `only ${acknowledged.length} appends in time`)
  return acknowledged
}

export const crashChecks: LogCheck[] = [
  {
    name: '[LOG1] [LOG2] [LOG3] after kill -9 every acknowledged append is at its offset, whole, and no append is in part',
    async run(harness) {
      const all: Acknowledged[] = []
      for (const [round, appends] of [40, 150, 300].entries()) {
        all.push(...(await writeAndKill(harness, `round${round}`, appends)))
      }
      const log = await harness.open()
      for (let partition = 0; partition < partitions; partition++) {
        const texts = (await readAll(harness, log, partition)).map(textOf)
        assert.equal(texts.length % 3, 0)
        for (let at = 0; at < texts.length; at += 3) {
          const name = texts[at]?.replace(/\.0$/, '')
          assert.deepEqual(texts.slice(at, at + 3), [`${name}.0`, `${name}.1`, `${name}.2`])
        }
        for (const { offset, text } of all.filter((one) => one.partition === partition)) {
          assert.equal(texts[offset], `${text}.0`)
        }
      }
    },
  },
]
