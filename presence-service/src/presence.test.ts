import { newId } from '@parley/proto/ids'
import { presenceTimes } from '@parley/proto/session-records'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { presenceOf } from './presence.ts'

const id = newId()
const { awayMs } = presenceTimes

it('[P2] online while active within five minutes, away from then on, offline without a lease', () => {
  expect(presenceOf(id, { activeAt: 1_000 }, 1_000 + awayMs - 1)).toEqual({ id, state: 'online' })
  expect(presenceOf(id, { activeAt: 1_000 }, 1_000 + awayMs)).toEqual({ id, state: 'away' })
  expect(presenceOf(id, { lastSeen: 7 }, 9)).toEqual({ id, state: 'offline', lastSeen: 7 })
  expect(presenceOf(id, {}, 9)).toEqual({ id, state: 'offline' })
})

const time = fc.nat({ max: 2 * awayMs })
const leases = fc.record({ activeAt: time, lastSeen: time }, { requiredKeys: [] })

it('[P2] lastSeen is told of who is offline alone, and time by itself changes nothing but online to away', () => {
  fc.assert(
    fc.property(leases, time, time, (of, first, second) => {
      const [earlierMs, laterMs] = [Math.min(first, second), Math.max(first, second)]
      const [before, after] = [presenceOf(id, of, earlierMs), presenceOf(id, of, laterMs)]
      for (const { state, lastSeen } of [before, after]) {
        expect(state === 'offline').toBe(of.activeAt === undefined)
        expect(lastSeen).toBe(state === 'offline' ? of.lastSeen : undefined)
      }
      if (before.state !== after.state) {
        expect([before.state, after.state]).toEqual(['online', 'away'])
        const awayAtMs = (of.activeAt ?? 0) + awayMs
        expect(earlierMs < awayAtMs && awayAtMs <= laterMs).toBe(true)
      }
    }),
  )
})
