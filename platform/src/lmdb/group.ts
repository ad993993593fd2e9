import { AssignmentLost, type Consumer, type Membership } from '@parley/platform/ports/log'
import { type RunningAssignment, startAssignment } from './assignment.ts'
import type { CommittedOffset } from './committed-offsets.ts'
import {
  assigned,
  emptyGroup,
  type GroupState,
  joined,
  left,
  owns,
  released,
} from './group-coordinator.ts'
import type { Partition } from './partition.ts'

/** One group on one topic: its members within this process and what each reads. */
export interface Group {
  join(consumer: Consumer): Membership
  /** Every member leaves; resolves after all readers' `revoked`, or after `rebalanceTimeoutMs`. */
  close(): Promise<void>
}

export interface GroupParts {
  name: string
  topic: string
  partitions: readonly Partition[]
  committed: readonly CommittedOffset[]
  /** How long a member may take to let go of its partitions before they are given to others over its head. */
  rebalanceTimeoutMs: number
}

export function createGroup(parts: GroupParts): Group {
  const consumers = new Map<number, Consumer>()
  let state: GroupState = emptyGroup(parts.partitions.length)
  let memberNumber = 0
  let running: RunningAssignment[] = []
  /** Readers that were cut off and still go on, by member. */
  const zombies = new Map<number, Set<RunningAssignment>>()
  let rebalancing: Promise<void> | null = null
  let changed = false

  function rebalance(): Promise<void> {
    changed = true
    rebalancing ??= untilUnchanged()
    return rebalancing
  }

  async function untilUnchanged(): Promise<void> {
    while (changed) {
      await takeBack()
      await Promise.all(parts.committed.map((offset) => offset.settled()))
      changed = false
      state = assigned(state)
      for (const [partition, member] of state.owners.entries()) {
        if (member !== null) running.push(start(partition, member))
      }
    }
    rebalancing = null
  }

  /** Revokes everything. Who does not finish in time leaves the group until it has, and can commit no more. */
  async function takeBack(): Promise<void> {
    const held = new Set(running)
    running = []
    for (const assignment of held) assignment.end()
    const finished = [...held].map((assignment) =>
      assignment.ended.then(() => {
        held.delete(assignment)
        release(assignment)
      }),
    )
    await withinMs(Promise.all(finished), parts.rebalanceTimeoutMs)
    for (const assignment of held) cutOff(assignment)
  }

  function release({ partition, member }: RunningAssignment): void {
    if (state.owners[partition] === member) state = released(state, partition)
  }

  function cutOff(assignment: RunningAssignment): void {
    const { member, partition } = assignment
    state = left(released(state, partition), member)
    const readers = zombies.get(member) ?? new Set()
    zombies.set(member, readers.add(assignment))
    assignment.ended.then(() => {
      readers.delete(assignment)
      if (readers.size > 0) return
      zombies.delete(member)
      if (!consumers.has(member)) return
      state = joined(state, member)
      void rebalance()
    })
  }

  function start(partition: number, member: number): RunningAssignment {
    const { generation } = state
    const offset = parts.committed[partition] as CommittedOffset
    return startAssignment({
      partition: parts.partitions[partition] as Partition,
      member,
      consumer: consumers.get(member) as Consumer,
      committed: offset.value,
      commit: async (next) => {
        if (!owns(state, member, partition, generation)) {
          throw new AssignmentLost(parts.name, parts.topic, partition)
        }
        await offset.commit(next)
      },
    })
  }

  async function leave(member: number): Promise<void> {
    if (consumers.delete(member)) state = left(state, member)
    await rebalance()
    const stuck = [...(zombies.get(member) ?? [])].map(({ ended }) => ended)
    await withinMs(Promise.all(stuck), parts.rebalanceTimeoutMs)
    if (zombies.has(member)) {
      throw new Error(
        `group ${parts.name}: a reader of ${parts.topic} did not finish within ${parts.rebalanceTimeoutMs} ms and was cut off`,
      )
    }
  }

  return {
    join(consumer) {
      memberNumber += 1
      const member = memberNumber
      consumers.set(member, consumer)
      state = joined(state, member)
      void rebalance()
      let leaving: Promise<void> | null = null
      return {
        close() {
          leaving ??= leave(member)
          return leaving
        },
      }
    },
    async close() {
      for (const member of consumers.keys()) state = left(state, member)
      consumers.clear()
      await rebalance()
    },
  }
}

async function withinMs(promise: Promise<unknown>, timeoutMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, timeoutMs)
  })
  await Promise.race([promise, late])
  clearTimeout(timer)
}
