import assert from 'node:assert/strict'

/**
 * Names the first difference. `assert.deepEqual` would explain them all, for which it takes gigabytes where two lists
 * of some thousand entries differ throughout.
 */
export function assertSameList(actual: readonly string[], expected: readonly string[]): void {
  const at = expected.findIndex((entry, index) => entry !== actual[index])
  if (at !== -1) {
    const short = (text: string | undefined) => text?.slice(0, 100) ?? 'missing'
    assert.fail(`entry ${at} is ${short(actual[at])}, not ${short(expected[at])}`)
  }
  assert.equal(actual.length, expected.length, `${actual.length} entries, not ${expected.length}`)
}
