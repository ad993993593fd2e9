import { describe, expect, test } from 'vitest'
import { createLogger, type Logger } from './logs.ts'

function capture(secrets: string[] = []): {
  log: Logger
  lines: () => Record<string, unknown>[]
  raw: () => string
} {
  const written: string[] = []
  const log = createLogger({
    name: 'gateway',
    level: 'trace',
    secrets,
    destination: { write: (line) => void written.push(line) },
  })
  return { log, raw: () => written.join(''), lines: () => written.map((line) => JSON.parse(line)) }
}

describe('createLogger', () => {
  test('writes JSON lines with name, level in words and ISO time', () => {
    const { log, lines } = capture()
    log.info({ port: 8080, big: 2n ** 60n, at: new Date(0), bytes: Buffer.alloc(3) }, 'ready')
    expect(lines()).toEqual([
      {
        level: 'info',
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        name: 'gateway',
        pid: process.pid,
        port: 8080,
        big: '1152921504606846976',
        at: '1970-01-01T00:00:00.000Z',
        bytes: '3 bytes',
        msg: 'ready',
      },
    ])
  })

  const planted = 'pl4nted-s3cret-value'
  const jwt = 'eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl'
  const places: [string, (log: Logger) => void][] = [
    ...[
      ...['authorization', 'Authorization', 'token', 'accessToken', 'access_token', 'refreshToken'],
      ...['password', 'passwordHash', 'cookie', 'set-cookie', 'PARLEY_KEY_SECRET', 'DATABASE_URL'],
      ...['body', 'text', 'ticket', 'privateKey'],
    ].map((key): [string, (log: Logger) => void] => [
      `a field named ${key}`,
      (log) => log.info({ [key]: planted }, 'x'),
    ]),
    ['a deep field', (log) => log.info({ req: { headers: [{ a: { token: planted } }] } }, 'x')],
    [
      'a whole record in a secret field',
      (log) => log.info({ body: { any: { thing: planted } } }, 'x'),
    ],
    ["a child's bindings", (log) => log.child({ session: { token: planted } }).info('x')],
    ['a Map', (log) => log.info({ headers: new Map([['cookie', planted]]) }, 'x')],
    ["a URL's password", (log) => log.info({ at: `postgresql://me:${planted}@db:5432/p` }, 'x')],
    [
      "a URL's password in the message",
      (log) => log.warn(`no answer from redis://:${planted}@r:6379`),
    ],
    ['a Bearer header in a message', (log) => log.info(`got Bearer ${planted}`)],
    [
      'an error message with a URL',
      (log) => log.error(new Error(`bad url redis://u:${planted}@h`)),
    ],
    [
      "an error's fields",
      (log) =>
        log.error({ err: Object.assign(new Error('x'), { detail: planted, query: planted }) }),
    ],
    [
      "MikroORM's copy of PostgreSQL's detail",
      (log) => log.error(new Error(`duplicate key\n - detail: Key (name)=(${planted})`)),
    ],
    ['the cause of an error', (log) => log.error(new Error('x', { cause: { password: planted } }))],
  ]

  test.each(places)('strikes out %s', (_, write) => {
    const { log, raw } = capture()
    write(log)
    expect(raw()).toMatch(/^\{.*\}\n$/)
    expect(raw()).not.toContain(planted)
  })

  test('strikes out the given secrets and JWTs wherever they stand', () => {
    const odd = 'quo"te\\back/and ü'
    const { log, lines, raw } = capture([planted, odd])
    log.info(
      { note: `x${planted}y`, list: [odd], path: encodeURIComponent(odd) },
      `${odd} ${planted} ${jwt}`,
    )
    expect(lines()).toHaveLength(1)
    for (const secret of [planted, 'quo', 'back', jwt, 'c2lnbmF0dXJl']) {
      expect(raw()).not.toContain(secret)
    }
  })

  test('keeps what an operator needs of an error', () => {
    const { log, lines } = capture()
    const cause = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
    log.error({ err: new TypeError('away', { cause }) }, 'failed')
    expect(lines()[0]).toMatchObject({
      msg: 'failed',
      err: {
        type: 'TypeError',
        message: 'away',
        stack: expect.stringContaining('logs.test.ts'),
        cause: { type: 'Error', message: 'refused', code: 'ECONNREFUSED' },
      },
    })
  })

  test('bounds what is deep, wide or refers to itself', () => {
    const { log, raw } = capture()
    const loop: Record<string, unknown> = { wide: Array.from({ length: 10_000 }, () => 'item') }
    loop.loop = loop
    log.info(loop, 'x')
    expect(raw().length).toBeLessThan(20_000)
  })
})
