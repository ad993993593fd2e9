import { describe, expect, test } from 'vitest'
import { createHealth } from './health.ts'

describe('createHealth', () => {
  test('is ready when every check is, and names the reasons when not', async () => {
    const health = createHealth()
    health.add('log', () => ({ ok: true }))
    expect(await health.ready()).toEqual({ ready: true, checks: { log: { ok: true } } })
    health.add('database', async () => ({ ok: false, reason: 'away' }))
    health.add('bus', () => {
      throw new Error('no link')
    })
    expect(await health.ready()).toEqual({
      ready: false,
      checks: {
        log: { ok: true },
        database: { ok: false, reason: 'away' },
        bus: { ok: false, reason: 'no link' },
      },
    })
    health.remove('database')
    health.remove('bus')
    expect((await health.ready()).ready).toBe(true)
  })

  test('a check that hangs counts as not ready in time, and is asked only once', async () => {
    const health = createHealth()
    let asked = 0
    let answer = (_: { ok: true }) => {}
    health.add(
      'database',
      () => {
        asked += 1
        return new Promise((resolve) => {
          answer = resolve
        })
      },
      5,
    )
    const late = { ready: false, checks: { database: { ok: false, reason: 'no answer in 5 ms' } } }
    expect(await health.ready()).toEqual(late)
    expect(await Promise.all([health.ready(), health.ready()])).toEqual([late, late])
    expect(asked).toBe(1)
    answer({ ok: true })
    await new Promise(setImmediate)
    const next = health.ready()
    await new Promise(setImmediate)
    answer({ ok: true })
    expect((await next).ready).toBe(true)
    expect(asked).toBe(2)
  })

  test('a part that is away does not make the process dead', async () => {
    const health = createHealth()
    health.add('database', () => ({ ok: false, reason: 'away' }))
    await health.ready()
    expect(health.live()).toEqual({ live: true })
    health.declareDead('the log stopped')
    health.declareDead('later')
    expect(health.live()).toEqual({ live: false, reason: 'the log stopped' })
  })

  test('two checks of one name are refused', () => {
    const health = createHealth()
    health.add('log', () => ({ ok: true }))
    expect(() => health.add('log', () => ({ ok: true }))).toThrow('log')
  })
})
