import fc from 'fast-check'
import { expect, it } from 'vitest'
import {
  assigned,
  emptyGroup,
  type GroupState,
  joined,
  left,
  owns,
  released,
} from './group-coordinator.ts'

const member = fc.integer({ min: 1, max: 5 })
const partitions = 4
const step = fc.oneof(
  fc.record({ kind: fc.constant('join' as const), member }),
  fc.record({ kind: fc.constant('leave' as const), member }),
  fc.record({ kind: fc.constant('release' as const), partition: fc.nat({ max: partitions - 1 }) }),
  fc.record({ kind: fc.constant('rebalance' as const) }),
)

function releaseAll(state: GroupState): GroupState {
  return state.owners.reduce((next, _, partition) => released(next, partition), state)
}

it('[LOG5] each partition has one owner at most, and an assignment of an older generation owns nothing', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      let state = emptyGroup(partitions)
      const given: { member: number; partition: number; generation: number }[] = []
      for (const now of steps) {
        if (now.kind === 'join') state = joined(state, now.member)
        else if (now.kind === 'leave') state = left(state, now.member)
        else if (now.kind === 'release') state = released(state, now.partition)
        else {
          state = assigned(releaseAll(state))
          for (const [partition, owner] of state.owners.entries()) {
            if (owner === null) continue
            given.push({ member: owner, partition, generation: state.generation })
          }
        }
        for (let partition = 0; partition < partitions; partition++) {
          const owners = given.filter(
            (one) =>
              one.partition === partition && owns(state, one.member, partition, one.generation),
          )
          expect(owners.length).toBeLessThanOrEqual(1)
          expect(owners.every(({ generation }) => generation === state.generation)).toBe(true)
        }
      }
    }),
  )
})

it('[LOG5] a rebalance spreads every partition over the members, by at most one more for some', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(member, { minLength: 1 }),
      fc.integer({ min: 1, max: 12 }),
      (members, count) => {
        const state = assigned(members.reduce(joined, emptyGroup(count)))
        const shares = members.map((one) => state.owners.filter((owner) => owner === one).length)
        expect(shares.reduce((sum, share) => sum + share)).toBe(count)
        expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1)
      },
    ),
  )
})

it('[LOG5] nothing is given while a partition is held, and without members nothing is owned', () => {
  const held = assigned(joined(emptyGroup(2), 1))
  expect(() => assigned(held)).toThrow(/still held/)
  const empty = assigned(releaseAll(left(held, 1)))
  expect(empty.owners).toEqual([null, null])
})
