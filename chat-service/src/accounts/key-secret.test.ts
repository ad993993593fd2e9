import { expect, test } from 'vitest'
import { deriveKeys, seal, unseal } from './key-secret.ts'

const { signingKeys: key, refreshTokens } = deriveKeys('a secret of these tests, long enough')

test('each purpose has its own key, the same for the same secret', () => {
  expect(key.equals(refreshTokens)).toBe(false)
  expect(deriveKeys('a secret of these tests, long enough').signingKeys.equals(key)).toBe(true)
  expect(deriveKeys('another').signingKeys.equals(key)).toBe(false)
})

test('what is sealed opens under its key and name, and only unchanged', () => {
  const plain = Buffer.from('private')
  const sealed = seal(key, 'kid-1', plain)
  expect(unseal(key, 'kid-1', sealed)).toEqual(plain)
  expect(sealed.includes(plain)).toBe(false)
  expect(seal(key, 'kid-1', plain).equals(sealed)).toBe(false)
  expect(unseal(key, 'kid-2', sealed)).toBeUndefined()
  expect(unseal(refreshTokens, 'kid-1', sealed)).toBeUndefined()
  for (let i = 0; i < sealed.length; i++) {
    const changed = Buffer.from(sealed)
    changed[i] = (changed[i] as number) ^ 1
    expect(unseal(key, 'kid-1', changed), `byte ${i}`).toBeUndefined()
    expect(unseal(key, 'kid-1', sealed.subarray(0, i))).toBeUndefined()
  }
})
