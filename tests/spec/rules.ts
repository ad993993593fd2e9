import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * `npm run check:spec`: every rule of proto/SPEC.md, and every guarantee and rule of recovery, is named by a test, and
 * the table at SPEC.md's end says by which. `npm run spec` writes the table anew. A test proves a rule by having its id
 * in its name, or in that of the `describe` around it: `it('[G2] a retry after a year gets its first seq', …)`.
 */

const root = join(import.meta.dirname, '../..')
const specPath = join(root, 'proto/SPEC.md')
const heading = '## Rule → test'
const intro =
  'Made of the names of the tests by `npm run spec`, and held against them by `npm run check`.'

/** Ids of SPEC.md in its order, then [G…] and [R…], which docs/architecture.md tells. */
function rulesOf(spec: string): string[] {
  const own = [...spec.matchAll(/^- \*\*\[([A-Z]+\d+)\]\*\*/gm)].map(([, id]) => id as string)
  const numbered = (letter: string, count: number) =>
    Array.from({ length: count }, (_, n) => `${letter}${n + 1}`)
  return [...own, ...numbered('G', 11), ...numbered('R', 15)]
}

/** The files whose tests' names hold an id. Names may be templates, stand on the line after, and behind `.each(…)`. */
function proofs(): Map<string, Set<string>> {
  const files = execFileSync('git', ['ls-files', '-co', '--exclude-standard', '*.test.ts'], {
    cwd: root,
    encoding: 'utf8',
  })
  const found = new Map<string, Set<string>>()
  for (const file of files.trim().split('\n')) {
    if (!existsSync(join(root, file))) continue
    const text = readFileSync(join(root, file), 'utf8')
    const names = text.matchAll(
      /(?:\b(?:it|test|describe)(?:\.\w+)*|\))\(\s*(['"`])((?:\\.|(?!\1)[^\\])*)\1/g,
    )
    for (const [call, , name] of names) {
      // A test that is put off proves nothing.
      if (/\.(skip|todo)\b/.test(call.split('(')[0] as string)) continue
      for (const [, id] of (name as string).matchAll(/\[([A-Z]+\d+)\]/g)) {
        found.set(id as string, (found.get(id as string) ?? new Set()).add(file))
      }
    }
  }
  return found
}

function table(rules: string[], proved: Map<string, Set<string>>): string {
  const rows = rules.map((id) => {
    const files = [...(proved.get(id) ?? [])].toSorted().map((file) => `\`${file}\``)
    return `| [${id}] | ${files.join(', ')} |`
  })
  return `${heading}\n\n${intro}\n\n| rule | tests |\n| ---- | ----- |\n${rows.join('\n')}\n`
}

const spec = readFileSync(specPath, 'utf8')
const rules = rulesOf(spec)
const proved = proofs()
const unproved = rules.filter((id) => !proved.has(id))
/* Ids of one letter are SPEC.md’s; the contract suites of the ports have longer ones of their own. */
const unknown = [...proved.keys()].filter((id) => /^[A-Z]\d+$/.test(id) && !rules.includes(id))
const wanted = spec.slice(0, spec.indexOf(heading)) + table(rules, proved)

if (process.argv.includes('--write')) writeFileSync(specPath, wanted)
if (unproved.length > 0) {
  process.stderr.write(
    `No test is named by these rules: ${unproved.map((id) => `[${id}]`).join(' ')}\n`,
  )
  process.exitCode = 1
} else if (unknown.length > 0) {
  process.stderr.write(`Tests are named by what is no rule: ${unknown.join(' ')}\n`)
  process.exitCode = 1
} else if (!process.argv.includes('--write') && wanted !== spec) {
  process.stderr.write('The table in proto/SPEC.md is not that of the tests: run `npm run spec`.\n')
  process.exitCode = 1
}
