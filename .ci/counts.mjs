import { readFileSync } from 'node:fs'

/** Prints "N passed, N failed, N skipped" from Vitest's JSON report; a file that could not even load counts as failed. */
let report
try {
  report = JSON.parse(readFileSync(process.argv[2], 'utf8'))
} catch {
  console.log('0 passed, 1 failed, 0 skipped')
  process.exit(1)
}
const results = report.testResults
const tests = results.flatMap((file) => file.assertionResults)
const count = (...statuses) => tests.filter((t) => statuses.includes(t.status)).length
const broken = results.filter(
  (file) => file.status === 'failed' && !file.assertionResults.some((t) => t.status === 'failed'),
).length
const failed = count('failed') + broken
const passed = count('passed')
console.log(
  `${passed} passed, ${failed} failed, ${count('pending', 'skipped', 'todo', 'disabled')} skipped`,
)
process.exit(failed > 0 || passed === 0 ? 1 : 0)
