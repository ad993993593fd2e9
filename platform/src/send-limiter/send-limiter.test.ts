import { expect, test } from 'vitest'
import { createSendLimiter } from './send-limiter.ts'

const [ann, ben] = ['ann', 'ben']

test('[G8] a burst passes, then one each time a token is back, each user by itself', () => {
  const limiter = createSendLimiter({ perSecond: 10, burst: 3 })
  expect([0, 0, 0, 0].map((at) => limiter.take(ann, at))).toEqual([0, 0, 0, 100])
  expect(limiter.take(ben, 0)).toBe(0)
  expect([40, 100, 100].map((at) => limiter.take(ann, at))).toEqual([60, 0, 100])
})

test('[G8] sweeping lets go of who has a whole burst again, and gives nobody tokens', () => {
  const limiter = createSendLimiter({ perSecond: 10, burst: 1 })
  expect(limiter.take(ann, 0)).toBe(0)
  limiter.sweep(50)
  expect(limiter.take(ann, 50)).toBe(50)
  limiter.sweep(100)
  expect([100, 100].map((at) => limiter.take(ann, at))).toEqual([0, 100])
})

test('a clock that steps back neither gives tokens nor takes them for long', () => {
  const limiter = createSendLimiter({ perSecond: 10, burst: 1 })
  expect(limiter.take(ann, 3_600_000)).toBe(0)
  expect(limiter.take(ann, 0)).toBe(100)
  expect(limiter.take(ann, 100)).toBe(0)
})

test('a rate of 0 lifts the limit', () => {
  const limiter = createSendLimiter({ perSecond: 0, burst: 1 })
  expect(Array.from({ length: 50 }, () => limiter.take(ann, 0))).toEqual(Array(50).fill(0))
})
