import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { newId } from '@parley/proto/ids'
import type { LoadPlan } from './load.ts'
import { makeGroup, registerUsers, type User } from './parley-users.ts'
import { readCpu, readMemory } from './process-figures.ts'
import { commitFloor, insertFloor, type Measured, measure } from './scenarios.ts'
import { type Server, startParley, startUwsFloor } from './server.ts'

/**
 * `npm run bench`: CPU per durable acked message and per delivery, each beside its floor from the same run, since
 * absolute figures drift on shared machines. Everything runs on loopback; nothing is asserted.
 */

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    readers: { type: 'string', default: '100,1000' },
    json: { type: 'string' },
  },
})
const measureMs = Number(options.seconds) * 1_000
const warmUpMs = Math.min(3_000, measureMs / 2)
const textBytes = 100
const senders = 40
const roomRate = 20

interface Row {
  what: string
  figures: Record<string, number | string>
}
const rows: Row[] = []
const details: Record<string, unknown> = {}

function report(what: string, figures: Record<string, number | string>): void {
  rows.push({ what, figures })
  const text = Object.entries(figures).map(([name, value]) => `${name} ${value}`)
  console.log(`${what.padEnd(46)} ${text.join(' · ')}`)
}

const round = (value: number, digits = 1) => Number(value.toFixed(digits))
const microseconds = (seconds: number, count: number) => (seconds * 1e6) / Math.max(1, count)
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function starts(dataDir: string): Promise<Server> {
  const first = await startParley(dataDir)
  report('ready, new data folder', { ms: round(first.readyMs, 0) })
  await first.stop()
  const server = await startParley(dataDir)
  report('ready, old data folder', { ms: round(server.readyMs, 0) })
  const before = readCpu(server.pid)
  await wait(5_000)
  const after = readCpu(server.pid)
  const memory = readMemory(server.pid)
  report('idle', {
    'node MB': round(memory.own / 1e6, 0),
    'PostgreSQL MB': round(memory.children / 1e6, 0),
    'all MB': round((memory.own + memory.children) / 1e6, 0),
    'CPU %': round(((after.own + after.children - before.own - before.children) / 5) * 100, 1),
  })
  return server
}

function ackPlan(wsUrl: string, list: LoadPlan['senders'], messagesPerSecond: number): LoadPlan {
  return {
    wsUrl,
    senders: list,
    readers: [],
    messagesPerSecond,
    inFlight: messagesPerSecond === 0 ? 16 : 32,
    warmUpMs,
    measureMs,
    textBytes,
  }
}

/** Messages to conversations of one reader: what a durable ack costs, each with its one delivery. */
async function acks(parley: Server, floor: Server, users: User[]): Promise<void> {
  const list: LoadPlan['senders'] = []
  for (const user of users) {
    list.push({ token: user.token, conversation: await makeGroup(parley.httpUrl, user, []) })
  }
  const bare = list.map(() => {
    const conversation = newId()
    return { token: conversation, conversation }
  })
  // Compiled code and grown heaps are the state of a server; what comes before is nobody's day.
  await measure(parley, ackPlan(parley.wsUrl, list, 0))
  await measure(floor, ackPlan(floor.wsUrl, bare, 0))
  for (const rate of [200, 1_000, 0]) {
    const name = rate === 0 ? 'acked, as fast as acks come' : `acked, ${rate} a second`
    const ours = await measure(parley, ackPlan(parley.wsUrl, list, rate))
    const theirs = await measure(floor, ackPlan(floor.wsUrl, bare, rate))
    const perRecord =
      (ours.counters.parley_commands_per_record_sum ?? ours.acked) /
      Math.max(1, ours.counters.parley_commands_per_record_count ?? ours.acked)
    const perTransaction = Math.max(
      1,
      (ours.counters.parley_storage_events_total ?? 0) /
        Math.max(1, ours.counters.parley_storage_transaction_seconds_count ?? 1),
    )
    const commit = await commitFloor({
      messages: 5_000,
      messagesPerRecord: Math.max(1, Math.round(perRecord)),
      bytesPerMessage: textBytes + 70,
      copies: 2,
    })
    const insert = await insertFloor({
      rows: 20_000,
      rowsPerStatement: Math.min(500, Math.max(1, Math.round(perTransaction))),
      bodyBytes: textBytes + 7,
    })
    details[name] = { ours, theirs, perRecord, perTransaction, commit, insert }
    reportAcks(name, { ours, theirs, perRecord, commit: commit.cpuUsPerMessage, insert })
  }
}

function reportAcks(
  name: string,
  run: {
    ours: Measured
    theirs: Measured
    perRecord: number
    commit: number
    insert: { clientUsPerRow: number; serverUsPerRow: number }
  },
): void {
  const { ours, theirs, insert } = run
  const node = microseconds(ours.server.own, ours.acked)
  const database = microseconds(ours.server.children, ours.acked)
  const sockets = microseconds(theirs.server.own, theirs.acked)
  const floor = sockets + run.commit + insert.clientUsPerRow
  report(name, {
    'messages/s': round((ours.acked * 1_000) / ours.measuredMs, 0),
    'node µs': round(node),
    'PostgreSQL µs': round(database),
    'floors µs': `${round(sockets)} uWS + ${round(run.commit)} LMDB + ${round(insert.clientUsPerRow)} pg`,
    'node ÷ floors': round(node / floor),
    'PostgreSQL floor µs': round(insert.serverUsPerRow),
    'a record': round(run.perRecord),
    'p50 ms': round((ours.latencyUs.p50 ?? 0) / 1_000, 2),
    'p99 ms': round((ours.latencyUs.p99 ?? 0) / 1_000, 2),
    unanswered: ours.unanswered,
    'load CPU': round(ours.cpu / (ours.measuredMs / 1_000), 2),
  })
}

/** One sender, one room of many readers: what a delivery costs. */
async function room(parley: Server, floor: Server, users: User[], readers: number): Promise<void> {
  const [owner, ...others] = users as [User, ...User[]]
  const conversation = await makeGroup(parley.httpUrl, owner, others)
  const token = newId()
  const plan = (wsUrl: string, ours: boolean): LoadPlan => {
    const place = ours ? conversation : token
    return {
      wsUrl,
      senders: [{ token: ours ? owner.token : token, conversation: place }],
      readers: Array.from({ length: readers }, (_, i) => {
        const user = others[i % others.length] as User
        return { token: ours ? user.token : token, conversation: place }
      }),
      messagesPerSecond: roomRate,
      inFlight: 32,
      warmUpMs,
      measureMs,
      textBytes,
    }
  }
  const ours = await measure(parley, plan(parley.wsUrl, true))
  const theirs = await measure(floor, plan(floor.wsUrl, false))
  const mine = microseconds(ours.server.own, ours.delivered)
  const bare = microseconds(theirs.server.own, theirs.delivered)
  const name = `room of ${readers} at ${roomRate} a second`
  details[name] = { ours, theirs }
  report(name, {
    'deliveries/s': round((ours.delivered * 1_000) / ours.measuredMs, 0),
    'delivered %': round(ours.deliveredShare * 100, 2),
    'node µs': round(mine, 2),
    'floor µs': round(bare, 2),
    'node ÷ floor': round(mine / bare, 2),
    'events a write': round(ours.delivered / Math.max(1, ours.messages), 2),
    'p99 ms': round((ours.latencyUs.p99 ?? 0) / 1_000, 2),
    'load CPU': round(ours.cpu / (ours.measuredMs / 1_000), 2),
  })
}

const folder = await mkdtemp(join(tmpdir(), 'parley-bench-'))
await chmod(folder, 0o755)
const floor = await startUwsFloor()
let parley: Server | undefined
try {
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'CPU'}\n`)
  parley = await starts(join(folder, 'data'))
  const users = await registerUsers(parley.httpUrl, senders + 1)
  await acks(parley, floor, users.slice(0, senders))
  for (const readers of options.readers.split(',')) {
    await room(parley, floor, users, Number(readers))
  }
} finally {
  await parley?.stop()
  await floor.stop()
  await rm(folder, { recursive: true, force: true })
}
if (options.json !== undefined) {
  await writeFile(
    options.json,
    `${JSON.stringify({ node: process.version, rows, details }, null, 2)}\n`,
  )
}
