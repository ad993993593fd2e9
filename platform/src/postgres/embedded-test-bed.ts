import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createLogger, type Log } from '../process/logs.ts'
import { StartError } from '../process/start-error.ts'
import { connectDatabase } from './connect.ts'
import {
  type EmbeddedPostgres,
  type EmbeddedPostgresOptions,
  startEmbeddedPostgres,
} from './embedded.ts'

/** Embedded servers of a test file; what a test starts is stopped after it. */
export interface TestBed {
  /** The test's own folder, which PostgreSQL's user can pass; `postgres` in it is a stopped server's data folder. */
  readonly base: string
  /** What was logged since the test began. */
  readonly lines: string[]
  /** On `base/postgres`, unless told otherwise. */
  start(options?: Partial<EmbeddedPostgresOptions>): Promise<EmbeddedPostgres>
  /** The sentence with which a start is refused. */
  refusal(options?: Partial<EmbeddedPostgresOptions>): Promise<string>
}

/** Vitest's, handed in so that what is no test file needs no test runner. */
export interface Hooks {
  beforeAll(run: () => Promise<void>): void
  afterAll(run: () => Promise<void>): void
  beforeEach(run: () => Promise<void>): void
  afterEach(run: () => Promise<void>): void
}

/** Registers what makes and removes the folders. With `shared` all tests of the file have one folder, and mend what they break. */
export function createTestBed(hooks: Hooks, { shared = false } = {}): TestBed {
  let template = ''
  let base = ''
  const lines: string[] = []
  let started: EmbeddedPostgres[] = []

  function logger(): Log {
    return createLogger({
      name: 'test',
      level: 'debug',
      destination: { write: (line) => void lines.push(line) },
    })
  }

  async function start(options: Partial<EmbeddedPostgresOptions> = {}): Promise<EmbeddedPostgres> {
    const dataDir = join(base, 'postgres')
    const server = await startEmbeddedPostgres({ dataDir, log: logger(), ...options })
    started.push(server)
    return server
  }

  hooks.beforeAll(async () => {
    template = await temporaryFolder()
    base = template
    await (await start()).stop()
  })
  hooks.afterAll(() => rm(template, { recursive: true, force: true }))

  hooks.beforeEach(async () => {
    started = []
    lines.length = 0
    if (shared) return
    base = await temporaryFolder()
    execFileSync('cp', ['-a', join(template, 'postgres'), base])
  })
  hooks.afterEach(async () => {
    await Promise.all(started.map((server) => server.stop()))
    if (!shared) await rm(base, { recursive: true, force: true })
  })

  return {
    get base() {
      return base
    },
    lines,
    start,
    async refusal(options) {
      const error = await start(options).then(
        () => undefined,
        (reason) => reason,
      )
      assert.ok(error instanceof StartError, `not refused, or otherwise: ${error}`)
      assert.ok(!error.message.includes('\n'), 'more than one sentence')
      return error.message
    },
  }
}

/** Unlike what `mkdtemp` makes, one that every user can pass. */
async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'parley-embedded-'))
  await chmod(folder, 0o755)
  return folder
}

export async function query<Row>(server: { url: string }, text: string): Promise<Row[]> {
  const db = await connectDatabase({ url: server.url, poolMax: 1 })
  try {
    return await db.transaction((sql) => sql.query<Row>(text))
  } finally {
    await db.close()
  }
}
