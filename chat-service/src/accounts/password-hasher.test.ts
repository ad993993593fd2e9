import { parseOptions } from '@node-rs/argon2'
import { expect, test } from 'vitest'
import { createPasswordHasher } from './password-hasher.ts'

test('hashes are argon2id with the parameters of OWASP, and match their password alone', async () => {
  const hasher = createPasswordHasher({ concurrent: 2, waiting: 8 })
  const hashed = await hasher.hash('correct horse')
  if (!hashed.ok) throw new Error(hashed.message)
  expect(hashed.hash).toMatch(/^\$argon2id\$v=19\$/)
  expect(parseOptions(hashed.hash)).toMatchObject({
    memoryCost: 19_456,
    timeCost: 2,
    parallelism: 1,
  })
  expect(await hasher.verify(hashed.hash, 'correct horse')).toEqual({ ok: true, match: true })
  expect(await hasher.verify(hashed.hash, 'Correct horse')).toEqual({ ok: true, match: false })
})

test('the same characters in another normal form are the same password', async () => {
  const hasher = createPasswordHasher({ concurrent: 1, waiting: 8 })
  const hashed = await hasher.hash('caf\u00e9 cr\u00e8me')
  if (!hashed.ok) throw new Error(hashed.message)
  expect(await hasher.verify(hashed.hash, 'cafe\u0301 cre\u0300me')).toEqual({
    ok: true,
    match: true,
  })
})

test('nobody is verified against a real hash, and never matches', async () => {
  const hasher = createPasswordHasher({ concurrent: 1, waiting: 8 })
  const hashed = await hasher.hash('correct horse')
  if (!hashed.ok) throw new Error(hashed.message)
  const timed = async (stored: string | undefined) => {
    let best = Number.POSITIVE_INFINITY
    for (let i = 0; i < 5; i++) {
      const began = performance.now()
      expect(await hasher.verify(stored, 'wrong')).toEqual({ ok: true, match: false })
      best = Math.min(best, performance.now() - began)
    }
    return best
  }
  const [known, unknown] = [await timed(hashed.hash), await timed(undefined)]
  expect(unknown).toBeGreaterThan(known / 3)
  expect(await hasher.verify(undefined, 'no password opens this')).toEqual({
    ok: true,
    match: false,
  })
})

test('[G8] [L2] beyond those at work and those waiting it is overloaded, and later there is room again', async () => {
  const hasher = createPasswordHasher({ concurrent: 2, waiting: 3 })
  const results = await Promise.all(Array.from({ length: 10 }, () => hasher.hash('correct horse')))
  expect(results.filter((r) => r.ok)).toHaveLength(5)
  for (const refused of results.slice(5)) {
    expect(refused).toMatchObject({ ok: false, code: 'overloaded', retryAfterMs: 1_000 })
  }
  const after = await Promise.all(Array.from({ length: 5 }, () => hasher.hash('correct horse')))
  expect(after.every((r) => r.ok)).toBe(true)
})
