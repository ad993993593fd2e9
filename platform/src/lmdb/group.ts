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
  let rebalancing: Promise<void> | null = null
  let changed = false
  const zombies = createZombies((member) => {
    if (!consumers.has(member)) return
    state = joined(state, member)
    void rebalance()
  })

  function rebalance(): Promise<void> {
    changed = true
    rebalancing ??= untilUnchanged()
    return rebalancing
  }

  async function untilUnchanged(): Promise<void> {
    while (changed) {
      const held = running
      running = []
      const stuck = await endAll(held, parts.rebalanceTimeoutMs, ({ partition, member }) => {
        if (state.owners[partition] === member) state = released(state, partition)
      })
      // Who did not let go in time leaves the group until it has, and can commit no more.
      for (const assignment of stuck) {
        state = left(released(state, assignment.partition), assignment.member)
        zombies.add(assignment)
      }
      await Promise.all(parts.committed.map((offset) => offset.settled()))
      changed = false
      state = assigned(state)
      for (const [partition, member] of state.owners.entries()) {
        if (member !== null) running.push(start(partition, member))
      }
    }
    rebalancing = null
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
    if (await zombies.gone(member, parts.rebalanceTimeoutMs)) return
    throw new Error(
      `group ${parts.name}: a reader of ${parts.topic} did not finish within ${parts.rebalanceTimeoutMs} ms and was cut off`,
    )
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

/** Ends assignments, calls `onEnd` for each that has, now or later, and tells which had not within the time given. */
async function endAll(
  assignments: readonly RunningAssignment[],
  timeoutMs: number,
  onEnd: (assignment: RunningAssignment) => void,
): Promise<Set<RunningAssignment>> {
  const going = new Set(assignments)
  for (const assignment of assignments) assignment.end()
  const ended = assignments.map(async (assignment) => {
    await assignment.ended
    going.delete(assignment)
    onEnd(assignment)
  })
  await withinMs(Promise.all(ended), timeoutMs)
  return going
}

/** Readers that were cut off and still go on, by member. */
function createZombies(onGone: (member: number) => void) {
  const readers = new Map<number, Set<RunningAssignment>>()
  return {
    add(assignment: RunningAssignment): void {
      const { member } = assignment
      const own = readers.get(member) ?? new Set()
      readers.set(member, own.add(assignment))
      void assignment.ended.then(() => {
        own.delete(assignment)
        if (own.size > 0) return
        readers.delete(member)
        onGone(member)
      })
    },
    /** Whether the member's last reader has ended, waiting for that at most so long. */
    async gone(member: number, timeoutMs: number): Promise<boolean> {
      const own = readers.get(member)
      if (own === undefined) return true
      await withinMs(Promise.all([...own].map(({ ended }) => ended)), timeoutMs)
      return !readers.has(member)
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
