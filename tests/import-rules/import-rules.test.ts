import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'

/**
 * Each import rule is proved by planting its violation in a scratch copy of the project's shape (biome.json and
 * the package.json of each package) and expecting exactly that rule to speak, and by a lawful twin that passes.
 */

const root = fileURLToPath(new URL('../..', import.meta.url))
const packages = ['proto', 'platform', 'gateway', 'chat-service', 'storage-worker', 'tests']
let scratch = ''

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'parley-import-rules-'))
  for (const file of ['biome.json', '.gitignore', 'package.json']) {
    await cp(join(root, file), join(scratch, file))
  }
  for (const name of packages) {
    await mkdir(join(scratch, name), { recursive: true })
    await cp(join(root, name, 'package.json'), join(scratch, name, 'package.json'))
  }
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

interface Diagnostic {
  category: string
  severity: string
  location: { path: string | { file: string } }
}

/** Lints the planted files (path → text) as the project would; the categories of what was found, sorted. */
async function lint(files: Record<string, string>): Promise<string[]> {
  const paths = Object.keys(files)
  for (const path of paths) {
    await mkdir(dirname(join(scratch, path)), { recursive: true })
    await writeFile(join(scratch, path), files[path] as string)
  }
  try {
    const report = await run(['lint', '--reporter=json', ...paths])
    const { diagnostics } = JSON.parse(report) as { diagnostics: Diagnostic[] }
    return diagnostics
      .filter((d) => d.severity === 'error' && d.category.startsWith('lint/'))
      .map((d) => d.category)
      .sort()
  } finally {
    for (const path of paths) await rm(join(scratch, path))
  }
}

function run(args: string[]): Promise<string> {
  const biome = join(root, 'node_modules/@biomejs/biome/bin/biome')
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [biome, ...args], { cwd: scratch }, (error, stdout, stderr) => {
      if (stdout.trim().startsWith('{')) resolve(stdout)
      else reject(error ?? new Error(`biome printed no report: ${stderr}`))
    })
  })
}

const restricted = 'lint/style/noRestrictedImports'
const globals = 'lint/style/noRestrictedGlobals'
const undeclared = 'lint/correctness/noUndeclaredDependencies'
const cycle = 'lint/suspicious/noImportCycles'

/** One file that imports `specifier` and uses it. */
function importing(specifier: string): string {
  return `import { thing } from '${specifier}'\n\nexport const used = thing\n`
}

const violations: [rule: string, path: string, specifier: string, found: string[]][] = [
  [
    'proto imports nothing of ours',
    'proto/src/planted.ts',
    '@parley/platform/ports/log',
    [undeclared, restricted],
  ],
  [
    'platform imports no service',
    'platform/src/planted.ts',
    '@parley/gateway/session',
    [undeclared, restricted],
  ],
  [
    'gateway imports no service',
    'gateway/src/planted.ts',
    '@parley/chat-service/main',
    [undeclared, restricted],
  ],
  [
    'chat-service imports no service',
    'chat-service/src/planted.ts',
    '@parley/storage-worker/main',
    [undeclared, restricted],
  ],
  [
    'storage-worker imports no service',
    'storage-worker/src/planted.ts',
    '@parley/gateway/main',
    [undeclared, restricted],
  ],
  [
    'presence-service imports no service',
    'presence-service/src/planted.ts',
    '@parley/gateway/main',
    [undeclared, restricted],
  ],
  [
    'nobody reaches into another package by path',
    'gateway/src/planted.ts',
    '../../platform/src/lmdb/log.ts',
    [restricted],
  ],
  [
    'nor from a deeper folder',
    'chat-service/src/http/planted.ts',
    '../../../proto/src/ids.ts',
    [restricted],
  ],
  ['nor from the tests', 'tests/e2e/planted.ts', '../../gateway/src/session.ts', [restricted]],
  ['nor from proto', 'proto/src/planted.ts', '../../platform/src/ports/log.ts', [restricted]],
  [
    'the sequencer imports no platform',
    'chat-service/src/sequencer/planted.ts',
    '@parley/platform/ports/log',
    [restricted],
  ],
  [
    'the sequencer imports no file of its own service',
    'chat-service/src/sequencer/planted.ts',
    '../runner/runner.ts',
    [restricted],
  ],
  [
    'the sequencer imports no I/O of Node',
    'chat-service/src/sequencer/planted.ts',
    'node:fs',
    [restricted],
  ],
  [
    'the sequencer imports no random',
    'chat-service/src/sequencer/planted.ts',
    'node:crypto',
    [restricted],
  ],
  [
    'the sequencer imports no library',
    'chat-service/src/sequencer/planted.ts',
    'fastify',
    [restricted],
  ],
  ['a dependency is declared where it is used', 'gateway/src/planted.ts', 'fastify', [undeclared]],
]

test.each(violations)('%s', async (_rule, path, specifier, found) => {
  expect(await lint({ [path]: importing(specifier) })).toEqual(found)
  expect(await lint({ [path]: importing('./neighbour.ts') }), 'the lawful twin').toEqual([])
})

test('a lazy import and a re-export are held to the same rule', async () => {
  const path = 'gateway/src/planted.ts'
  expect(
    await lint({ [path]: `export const lazy = () => import('../../platform/src/a.ts')\n` }),
  ).toEqual([restricted])
  expect(await lint({ [path]: `export { thing } from '../../platform/src/a.ts'\n` })).toEqual([
    restricted,
  ])
  expect(await lint({ [path]: `export type { Thing } from '../../platform/src/a.ts'\n` })).toEqual([
    restricted,
  ])
})

test.each([
  ['gateway/src/planted.ts', '@parley/platform/ports/log'],
  ['gateway/src/planted.ts', '@parley/proto/ids'],
  ['platform/src/planted.ts', '@parley/proto/ids'],
  ['chat-service/src/sequencer/planted.ts', '@parley/proto/ids'],
  ['tests/e2e/planted.ts', '@parley/gateway/session'],
])('%s may import %s', async (path, specifier) => {
  expect(await lint({ [path]: importing(specifier) })).toEqual([])
})

test.each(['Date.now()', 'performance.now()', 'process.pid', 'crypto.randomUUID()'])(
  'the sequencer has no %s',
  async (expression) => {
    const text = `export const value = () => ${expression}\n`
    expect(await lint({ 'chat-service/src/sequencer/planted.ts': text })).toEqual([globals])
    expect(await lint({ 'chat-service/src/runner/planted.ts': text })).toEqual([])
  },
)

test('a cycle of imports is refused', async () => {
  const a = 'gateway/src/planted-a.ts'
  const b = 'gateway/src/planted-b.ts'
  const there = `import { b } from './planted-b.ts'\n\nexport const a = () => b\n`
  const back = `import { a } from './planted-a.ts'\n\nexport const b = () => a\n`
  expect(await lint({ [a]: there, [b]: back })).toEqual([cycle, cycle])
  expect(await lint({ [a]: there, [b]: 'export const b = 1\n' })).toEqual([])
})
