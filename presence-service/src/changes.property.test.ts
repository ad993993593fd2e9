import type { UserLeases } from '@parley/platform/ports/presence-store'
import { presenceTimes, type UserPresence } from '@parley/proto/session-records'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createChanges } from './changes.ts'
import { awayAtMs, presenceOf, samePresence } from './presence.ts'

const { changeMs, awayMs } = presenceTimes
/** How often the loop under test looks, and so how late it may be, besides the step of its list. */
const lookMs = 50
const slackMs = lookMs + 20

const userNames = ['u0', 'u1', 'u2'] as const

/** Time passes, or a user's leases become others, or reads or publishes begin or cease to fail. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ waitMs: fc.integer({ min: 1, max: 400 }) }) },
  { weight: 2, arbitrary: fc.record({ waitMs: fc.nat({ max: 2_500 }) }) },
  { weight: 1, arbitrary: fc.record({ waitMs: fc.nat({ max: 2 * awayMs }) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      user: fc.constantFrom(...userNames),
      /** Undefined: the last lease ends now. */
      idleMs: fc.option(fc.nat({ max: 2 * awayMs }), { nil: undefined }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ reads: fc.boolean(), publishes: fc.boolean() }) },
)
const bounds = fc.record({
  maxDue: fc.integer({ min: 1, max: 4 }),
  maxTold: fc.integer({ min: 1, max: 4 }),
})

/** Else becoming away may find no room; it is expected again with the next notice, which is not this part's business. */
const roomy = fc.record({
  maxDue: fc.integer({ min: userNames.length + 1, max: 5 }),
  maxTold: fc.integer({ min: 1, max: 4 }),
})

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

interface Attempt {
  presence: UserPresence
  atMs: number
  heard: boolean
}

/** The shell in a few lines, in time that only goes where it is told: changes taken, users looked at, attempts noted. */
function createShell({ maxDue, maxTold }: { maxDue: number; maxTold: number }) {
  const changes = createChanges({ changeMs, maxDue, maxTold })
  const leases = new Map<string, UserLeases>()
  const marked = new Set<string>()
  const attempts: Attempt[] = []
  const works = { reads: true, publishes: true }
  let nowMs = 10 * awayMs

  function look(): void {
    for (const user of marked) {
      if (changes.room === 0) break
      marked.delete(user)
      changes.changed(user, nowMs)
    }
    for (const user of changes.due(nowMs, 2)) {
      if (!works.reads) {
        changes.unread(user, nowMs)
        continue
      }
      const of = leases.get(user) ?? {}
      const presence = presenceOf(user, of, nowMs)
      const telling = changes.weigh(presence, nowMs)
      if (presence.state === 'online') changes.expect(user, awayAtMs(of.activeAt as number))
      if (!telling) continue
      attempts.push({ presence, atMs: nowMs, heard: works.publishes })
      if (works.publishes) changes.told(user)
      else changes.untold(user)
    }
  }

  return {
    changes,
    attempts,
    works,
    now: () => nowMs,
    pass(ms: number) {
      for (const endMs = nowMs + ms; nowMs < endMs; ) {
        nowMs = Math.min(endMs, nowMs + lookMs)
        look()
      }
    },
    set(user: string, idleMs: number | undefined) {
      const { lastSeen } = leases.get(user) ?? {}
      const seen = lastSeen === undefined ? {} : { lastSeen }
      leases.set(
        user,
        idleMs === undefined ? { lastSeen: nowMs } : { activeAt: nowMs - idleMs, ...seen },
      )
      marked.add(user)
    },
    truth: (user: string, agoMs = 0) => presenceOf(user, leases.get(user) ?? {}, nowMs - agoMs),
  }
}

function play(shell: ReturnType<typeof createShell>, steps: readonly Step[]): void {
  for (const one of steps) {
    if ('waitMs' in one) shell.pass(one.waitMs)
    else if ('user' in one) shell.set(one.user, one.idleMs)
    else Object.assign(shell.works, one)
  }
}

const attemptsOf = (attempts: Attempt[], user: string) =>
  attempts.filter(({ presence }) => presence.id === user)

describe('changes of presence', () => {
  it('[P2] of one user are told at most once a second, whatever fails and however little is remembered', () => {
    fc.assert(
      fc.property(bounds, fc.array(step, { maxLength: 80 }), (within, steps) => {
        const shell = createShell(within)
        play(shell, steps)
        for (const user of userNames) {
          const own = attemptsOf(shell.attempts, user)
          for (const [i, { atMs }] of own.entries()) {
            const before = own[i - 1]
            if (before !== undefined) expect(atMs - before.atMs).toBeGreaterThanOrEqual(changeMs)
          }
        }
      }),
    )
  })

  it('[P2] the last of them is never lost, once reads and publishes work and time passes', () => {
    fc.assert(
      fc.property(roomy, fc.array(step, { maxLength: 80 }), (within, steps) => {
        const shell = createShell(within)
        play(shell, steps)
        Object.assign(shell.works, { reads: true, publishes: true })
        shell.pass(12 * changeMs)
        const touched = new Set(steps.flatMap((one) => ('user' in one ? [one.user] : [])))
        for (const user of touched) {
          const last = attemptsOf(shell.attempts, user).at(-1)
          // Who became away a moment ago may have to wait for the others.
          const late = 5 * changeMs
          expect([shell.truth(user), shell.truth(user, late)]).toContainEqual(last?.presence)
          expect(last?.heard).toBe(true)
        }
      }),
    )
  })

  it('[P2] each is told within a second and a moment, and becoming away too, while nothing fails', () => {
    const calm = step.filter((one) => !('reads' in one))
    fc.assert(
      fc.property(fc.array(calm, { maxLength: 60 }), (steps) => {
        const shell = createShell({ maxDue: 10, maxTold: 10 })
        const differsSince = new Map<string, number>()
        for (const one of steps) {
          const parts = 'waitMs' in one ? Math.ceil(one.waitMs / lookMs) : 1
          for (let part = 0; part < parts; part++) {
            play(shell, 'waitMs' in one ? [{ waitMs: lookMs }] : [one])
            for (const user of userNames) {
              const told = attemptsOf(shell.attempts, user).at(-1)?.presence
              const truth = shell.truth(user)
              const asItWas =
                told === undefined && truth.lastSeen === undefined && truth.state === 'offline'
              if (asItWas || samePresence(told, truth)) differsSince.delete(user)
              else if (!differsSince.has(user)) differsSince.set(user, shell.now())
              const sinceMs = shell.now() - (differsSince.get(user) ?? shell.now())
              expect(sinceMs).toBeLessThanOrEqual(changeMs + slackMs)
            }
          }
        }
      }),
      { numRuns: 30 },
    )
  }, 30_000)

  it('nothing is told twice in a row, as long as all were heard and are remembered', () => {
    const heard = step.filter((one) => !('publishes' in one) || one.publishes)
    fc.assert(
      fc.property(fc.array(heard, { maxLength: 80 }), (steps) => {
        const shell = createShell({ maxDue: 3, maxTold: 3 })
        play(shell, steps)
        for (const user of userNames) {
          const own = attemptsOf(shell.attempts, user).map(({ presence }) => presence)
          for (const [i, presence] of own.entries()) {
            if (i > 0) expect(presence).not.toEqual(own[i - 1])
          }
        }
      }),
    )
  })

  it('[G8] no more wait than may, and none that has to wait is forgotten', () => {
    const changes = createChanges({ changeMs, maxDue: 3, maxTold: 10 })
    for (const user of ['a', 'b']) changes.changed(user, 0)
    changes.expect('c', 5_000)
    changes.expect('d', 5_000)
    expect([changes.room, changes.waiting]).toEqual([0, 3])
    expect(changes.due(0, 1)).toEqual(['a'])
    expect(changes.room).toBe(0)
    expect(changes.weigh({ id: 'a', state: 'online' }, 0)).toBe(true)
    changes.told('a')
    expect([changes.room, changes.waiting]).toEqual([1, 2])
    expect([changes.due(0, 5), changes.due(5_020, 5)]).toEqual([['b'], ['c']])
  })
})
