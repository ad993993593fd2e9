import { newId } from '@parley/proto/ids'
import { presenceTimes, type SessionNotice } from '@parley/proto/session-records'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SessionLeases } from './session-leases.ts'

const { renewMs, awayMs, leaseMs } = presenceTimes
const user = newId()
const start = 1_000_000

describe('a connection', () => {
  test('is told when it opens and when it closes, once', () => {
    const leases = new SessionLeases()
    expect(leases.opened('c', user, start)).toEqual({
      user,
      connection: 'c',
      state: 'open',
      activeAt: start,
      at: start,
    })
    expect(leases.closed('c', start + 9)).toMatchObject({ state: 'closed', at: start + 9 })
    expect(leases.closed('c', start + 10)).toBeNull()
    expect(leases.size).toBe(0)
  })

  test('whose link was lost is left to its lease', () => {
    const leases = new SessionLeases()
    leases.opened('c', user, start)
    leases.lost('c')
    expect(leases.due(start + renewMs)).toEqual([])
  })

  test('is renewed with when it was last active', () => {
    const leases = new SessionLeases()
    leases.opened('c', user, start)
    expect(leases.active('c', start + 3_000)).toBeNull()
    expect(leases.due(start + renewMs)).toMatchObject([{ activeAt: start + 3_000 }])
    expect(leases.due(start + renewMs)).toEqual([])
  })

  test('that was quiet is told at once when it is active again, before it would count as away', () => {
    const leases = new SessionLeases()
    leases.opened('c', user, start)
    const late = start + awayMs - renewMs
    expect(leases.active('c', late)).toMatchObject({ state: 'open', activeAt: late })
    expect(leases.active('c', late + 1)).toBeNull()
  })

  test('that says two things in one millisecond can be told in order', () => {
    const leases = new SessionLeases()
    const opened = leases.opened('c', user, start)
    expect(leases.closed('c', start)?.at).toBeGreaterThan(opened.at)
  })
})

test('renewals of those who came together are spread', () => {
  let i = 0
  const leases = new SessionLeases(() => (i++ % 100) / 100)
  for (let c = 0; c < 1_000; c++) leases.opened(`${c}`, user, start)
  const counts = Array.from({ length: 30 }, (_, s) => leases.due(start + (s + 1) * 500).length)
  expect(Math.max(...counts)).toBeLessThan(150)
})

test('[P2] any activity: told within every lease, never away while active, in rising order', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('active' as const), ms: fc.nat(200_000) }),
    fc.record({ do: fc.constant('idle' as const), ms: fc.nat(400_000) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const leases = new SessionLeases()
      let now = start
      let activeAt = start
      let told: SessionNotice = leases.opened('c', user, now)
      const take = (notice: SessionNotice | null) => {
        if (notice === null) return
        expect(notice.at).toBeGreaterThan(told.at)
        expect(notice.at - told.at, 'at most so far apart').toBeLessThanOrEqual(renewMs)
        told = notice
      }
      for (const { do: what, ms } of steps) {
        for (const end = now + ms; now < end; ) {
          now = Math.min(end, now + 500)
          for (const notice of leases.due(now)) take(notice)
          // An `expect` in each of so many steps would take longer than all else.
          const away = now - activeAt >= awayMs
          if (now - told.at >= leaseMs) throw new Error(`its lease ran out at ${now}`)
          if (!away && now - told.activeAt >= awayMs) throw new Error(`away at ${now}`)
        }
        if (what !== 'active') continue
        activeAt = now
        take(leases.active('c', now))
      }
    }),
    { numRuns: 100 },
  )
})
