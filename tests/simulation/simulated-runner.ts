import type { CommandConsumerParts } from '@parley/chat-service/runner/command-consumer'
import { FanOut } from '@parley/chat-service/runner/fan-out'
import { ReplySender } from '@parley/chat-service/runner/reply-sender'
import { createRunnerMetrics } from '@parley/chat-service/runner/runner-metrics'
import type { RunnerBounds } from '@parley/chat-service/runner/runner-parts'
import { startPartition } from '@parley/chat-service/runner/start-partition'
import type { Bus } from '@parley/platform/ports/bus'
import type { PartitionReader } from '@parley/platform/ports/log'
import { createMetrics } from '@parley/platform/process/metrics'
import { createInProcessRpc } from '@parley/platform/rpc/in-process'
import { readTrustedFrame } from '@parley/proto/codec'
import { type Command, encodeCommandRecord } from '@parley/proto/commands'
import { decodeEventFrame } from '@parley/proto/event-frame'
import { decodeConversationPublish } from '@parley/proto/fan-out'
import type { Ack, ErrorFrame, Event } from '@parley/proto/frames'
import { newId } from '@parley/proto/ids'
import { recordSchema } from '@parley/proto/record-headers'
import { ReplyService } from '@parley/proto/rpc/replies_pb'
import { pino } from 'pino'
import { SimulatedDatabase } from './simulated-database.ts'
import { Feed, SimulatedAssignment, SimulatedLog } from './simulated-log.ts'

const writer = 'gateway'
const metrics = createRunnerMetrics(createMetrics())

/** One owner of the partition: the real runner, with its assignment and what feeds it. */
export interface Owner {
  assignment: SimulatedAssignment
  reader: PartitionReader
  feed: Feed
  failures: Error[]
}

/** The real runner, reply sender and fan-out on a simulated log and database; whatever they tell is written down. */
export class RunnerWorld {
  readonly log = new SimulatedLog(newId())
  readonly database: SimulatedDatabase
  readonly bounds: RunnerBounds
  /** Commands by correlation, with the place they got. */
  readonly commands: Command[] = []
  readonly replies: { correlation: number; frame: Ack | ErrorFrame }[] = []
  readonly published: Event[] = []
  readonly #parts: Omit<CommandConsumerParts, 'metrics'>
  readonly #rpc = createInProcessRpc()

  constructor(bounds: Partial<RunnerBounds> = {}) {
    this.bounds = {
      maxWaitingItems: 1_000,
      maxWeight: 10_000,
      keptIds: 3,
      maxUnappendedBytes: 1_000_000,
      maxRecordBytes: 100_000,
      checkpointEveryMs: 1,
      commitAfterMs: 0,
      backoff: { firstMs: 1, maxMs: 2 },
      ...bounds,
    }
    this.database = new SimulatedDatabase(this.log, this.bounds.keptIds)
    const logger = pino({ level: 'silent' })
    this.#rpc.serve(writer, (router) => {
      router.service(ReplyService, {
        deliver: ({ replies }) => {
          for (const { correlation, frame } of replies) {
            this.replies.push({ correlation, frame: readTrustedFrame(frame) as Ack | ErrorFrame })
          }
          return {}
        },
      })
    })
    this.#parts = {
      log: this.log,
      source: this.database,
      replies: new ReplySender(this.#rpc, {
        logger,
        bounds: { maxWaiting: 10_000, maxBatch: 100, timeoutMs: 1_000 },
        givenUp: metrics.repliesGivenUp,
      }),
      fanOut: new FanOut(this.#bus(), logger, metrics.publishesLost),
      logger,
      epoch: 1,
      now: () => Date.now(),
    }
  }

  /** Appends one record of commands, stamped as a writer does. */
  write(commands: Omit<Command, 'correlation'>[]): void {
    const stamped = commands.map((command) => {
      const whole = { ...command, correlation: this.commands.length } as Command
      this.commands.push(whole)
      return whole
    })
    const list = this.log.of('parley.commands')
    list.push({
      offset: list.length,
      headers: { schema: recordSchema, epoch: this.log.epoch },
      value: encodeCommandRecord({ replyTo: writer, commands: stamped }),
    })
  }

  /** Takes the partition over; rejects as `startPartition` does. */
  async own(committed?: number | null): Promise<Owner> {
    const assignment = new SimulatedAssignment(this.log, committed)
    const failures: Error[] = []
    const reader = await startPartition(
      assignment,
      {
        ...this.#parts,
        metrics,
        failed: (error) => failures.push(error),
      },
      this.bounds,
    )
    return { assignment, reader, feed: new Feed(reader, this.log), failures }
  }

  #bus(): Bus {
    const published = this.published
    return {
      async publish(channel, payload) {
        if (!channel.startsWith('conversation:')) return
        for (const frame of decodeConversationPublish(payload).frames) {
          published.push(decodeEventFrame(frame))
        }
      },
      async subscribe() {},
      async unsubscribe() {},
      onInterruption() {},
      async close() {},
    }
  }
}

/** Lets what is ready go on. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Waits, turn by turn, until `condition` holds; fails after `deadlineMs` with what was waited for. */
export async function until(
  condition: () => boolean,
  what: string,
  deadlineMs = 5_000,
): Promise<void> {
  const end = Date.now() + deadlineMs
  while (!condition()) {
    if (Date.now() > end) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`)
    await turn()
  }
}
