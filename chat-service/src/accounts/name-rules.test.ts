import { expect, test } from 'vitest'
import { checkName, checkPassword, checkUsername } from './name-rules.ts'

test('[H5] a username is 3 to 32 of a-z 0-9 _ . -', () => {
  for (const fine of ['ada', 'a.b', '0_0', '---', 'a'.repeat(32)]) {
    expect(checkUsername(fine), fine).toBeUndefined()
  }
  for (const wrong of ['', 'ab', 'a'.repeat(33), 'Ada', 'ad a', 'adä', 'ada\n', 'ada\0', 'a@b']) {
    expect(checkUsername(wrong)?.code, wrong).toBe('invalid')
  }
  expect(checkUsername('everyone')?.code).toBe('invalid')
})

test('[H5] a password is 8 to 256 characters', () => {
  for (const fine of ['12345678', ' '.repeat(8), '🔑'.repeat(256), 'ä'.repeat(256)]) {
    expect(checkPassword(fine)).toBeUndefined()
  }
  for (const wrong of ['', '1234567', '🔑'.repeat(7), 'a'.repeat(257), 'abcdefgh\ud800']) {
    expect(checkPassword(wrong)?.code).toBe('invalid')
  }
})

test('[H5] a name is 1 to 128 characters of well-formed text on one line', () => {
  for (const fine of ['A', '李小龍', ' x ', '👩‍💻', '🙂'.repeat(128)]) {
    expect(checkName('displayName', fine)).toBeUndefined()
  }
  const wrong = [
    '',
    ' ',
    '\u00a0',
    'a\nb',
    'a\0b',
    'a\u0085b',
    'a\u2028b',
    'a\udc00',
    'a'.repeat(129),
  ]
  for (const name of wrong) {
    expect(checkName('title', name)?.code, JSON.stringify(name)).toBe('invalid')
  }
})
