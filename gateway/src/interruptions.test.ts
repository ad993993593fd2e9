import { expect, it, vi } from 'vitest'
import { createInterruptions } from './interruptions.ts'

const deadline = { timeout: 10_000 }

function checked(check: (users: readonly string[], call: number) => Promise<string[]>) {
  const calls: string[][] = []
  let starts = 0
  const interruptions = createInterruptions({
    users: () => ['ann', 'ben'],
    check(users) {
      calls.push([...users])
      return check(users, calls.length)
    },
    onStart: () => {
      starts += 1
    },
    secondMs: 50,
  })
  return { interruptions, calls, starts: () => starts }
}

it('[G7] after a break everyone is checked at once, and once more later', async () => {
  const { interruptions, calls, starts } = checked(async () => [])
  interruptions.start()
  expect(calls).toEqual([['ann', 'ben']])
  await vi.waitFor(() => expect(calls).toHaveLength(2), deadline)
  expect(starts()).toBe(2)
  interruptions.stop()
})

it('[G7] who could not be checked is tried again until it could, and nobody else', async () => {
  const { interruptions, calls } = checked(async (users, call) => {
    if (call === 3) throw new Error('the directory is away')
    return call < 5 ? users.filter((user) => user === 'ben') : []
  })
  interruptions.start()
  await vi.waitFor(() => expect(calls.length).toBeGreaterThanOrEqual(5), deadline)
  interruptions.stop()
  expect(calls.filter((users) => users.includes('ann')).length).toBeLessThanOrEqual(3)
  expect(calls.every((users) => users.includes('ben'))).toBe(true)
})

it('[G7] a break during a check is not forgotten', async () => {
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const { interruptions, calls } = checked(async (_users, call) => {
    if (call === 1) await held
    return []
  })
  interruptions.start()
  interruptions.start()
  expect(calls).toHaveLength(1)
  release()
  await vi.waitFor(() => expect(calls.length).toBeGreaterThanOrEqual(2), deadline)
  interruptions.stop()
})
