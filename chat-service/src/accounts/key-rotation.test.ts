import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type KeyTimes, planRotation, type RotationRule, signerAt } from './key-rotation.ts'

const hourMs = 3_600_000
const rule: RotationRule = {
  rotationMs: 30 * 24 * hourMs,
  publishAheadMs: hourMs,
  keepMs: hourMs / 2,
}

test('the first key signs at once', () => {
  expect(planRotation([], 1_000, rule)).toEqual({ nextSignsFrom: 1_000, retire: [] })
})

test('the next key is published ahead of its first use, and made once', () => {
  const first = { kid: 'a', signsFrom: 0 }
  expect(planRotation([first], rule.rotationMs - hourMs - 1, rule)).toEqual({ retire: [] })
  const due = planRotation([first], rule.rotationMs - hourMs, rule)
  expect(due).toEqual({ nextSignsFrom: rule.rotationMs, retire: [] })
  const second = { kid: 'b', signsFrom: rule.rotationMs }
  expect(planRotation([first, second], rule.rotationMs, rule)).toEqual({ retire: [] })
})

test('after a long stop the next key still is published an hour ahead', () => {
  const plan = planRotation([{ kid: 'a', signsFrom: 0 }], 10 * rule.rotationMs, rule)
  expect(plan.nextSignsFrom).toBe(10 * rule.rotationMs + hourMs)
})

test('at any time one key signs, and every key stays while what it signed may be valid', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 20 * 24 * hourMs }), { minLength: 1, maxLength: 60 }),
      (steps) => {
        let keys: KeyTimes[] = []
        const lastSigned = new Map<string, number>()
        const madeAt = new Map<string, number>()
        let now = 0
        for (const step of [0, ...steps]) {
          now += step
          const plan = planRotation(keys, now, rule)
          for (const kid of plan.retire) {
            expect(now - (lastSigned.get(kid) ?? Number.NEGATIVE_INFINITY)).toBeGreaterThanOrEqual(
              rule.keepMs,
            )
          }
          keys = keys.filter((key) => !plan.retire.includes(key.kid))
          if (plan.nextSignsFrom !== undefined) {
            const kid = `key-${madeAt.size}`
            madeAt.set(kid, now)
            keys.push({ kid, signsFrom: plan.nextSignsFrom })
          }
          const signer = signerAt(keys, now)
          expect(signer).toBeDefined()
          const { kid } = signer as KeyTimes
          if (kid !== 'key-0') {
            expect(now - (madeAt.get(kid) as number)).toBeGreaterThanOrEqual(rule.publishAheadMs)
          }
          lastSigned.set(kid, now)
          expect(keys.length).toBeLessThanOrEqual(3)
        }
      },
    ),
  )
})
