/**
 * Who reads which partition of one group: pure. As with Kafka's eager protocol a rebalance takes everything back
 * (`released`, one by one as readers finish), then gives everything anew under the next generation (`assigned`).
 */
export interface GroupState {
  /** Rises with every assignment; what a member was told in an earlier one is void. */
  readonly generation: number
  /** In order of joining. */
  readonly members: readonly number[]
  /** The owner of each partition, by its number. */
  readonly owners: readonly (number | null)[]
}

export function emptyGroup(partitions: number): GroupState {
  return { generation: 0, members: [], owners: new Array(partitions).fill(null) }
}

export function joined(state: GroupState, member: number): GroupState {
  if (state.members.includes(member)) return state
  return { ...state, members: [...state.members, member] }
}

/** What the member holds stays its own until released. */
export function left(state: GroupState, member: number): GroupState {
  return { ...state, members: state.members.filter((other) => other !== member) }
}

export function released(state: GroupState, partition: number): GroupState {
  return { ...state, owners: state.owners.with(partition, null) }
}

/** Spreads the partitions over the members in turn. Throws while one is still held: a partition has one owner. */
export function assigned(state: GroupState): GroupState {
  const held = state.owners.findIndex((owner) => owner !== null)
  if (held !== -1) throw new Error(`partition ${held} is still held`)
  const { members } = state
  return {
    generation: state.generation + 1,
    members,
    owners: state.owners.map((_, partition) => members[partition % members.length] ?? null),
  }
}

export function owns(
  state: GroupState,
  member: number,
  partition: number,
  generation: number,
): boolean {
  return state.generation === generation && state.owners[partition] === member
}
