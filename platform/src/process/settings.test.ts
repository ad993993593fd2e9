import { describe, expect, expectTypeOf, test } from 'vitest'
import { choice, duration, flag, integer, port, text, url } from './setting-fields.ts'
import { readSettings, SettingsError, secretValues } from './settings.ts'

const schema = {
  httpPort: port('PARLEY_HTTP_PORT', { default: 8080 }),
  wsPort: port('PARLEY_WS_PORT', { default: 8081, orFree: true }),
  rate: integer('PARLEY_USER_MESSAGES_PER_SECOND', { min: 0, max: 1_000, default: 50 }),
  registration: choice('PARLEY_REGISTRATION', ['open', 'invite', 'closed'], { default: 'open' }),
  databaseUrl: url('DATABASE_URL', {
    protocols: ['postgresql', 'postgres'],
    optional: true,
    secret: true,
  }),
  publicUrl: url('PARLEY_WS_PUBLIC_URL', { protocols: ['ws', 'wss'], optional: true }),
  drain: duration('PARLEY_DRAIN', { minMs: 0, maxMs: 600_000, default: 10_000 }),
  trace: flag('PARLEY_TRACE', { default: false }),
  keySecret: text('PARLEY_KEY_SECRET', {
    pattern: /^[\w+/=-]{32,}$/,
    allowed: 'at least 32 characters of base64',
    secret: true,
  }),
}
const keySecret = 'k'.repeat(32)
const read = (env: Record<string, string>) =>
  readSettings(schema, { PARLEY_KEY_SECRET: keySecret, ...env })
const refusal = (env: Record<string, string>) => {
  try {
    read(env)
  } catch (error) {
    if (error instanceof SettingsError) return error
  }
  throw new Error('the settings were accepted')
}

describe('readSettings', () => {
  test('gives defaults where nothing is set, and an empty variable is not set', () => {
    const { settings, warnings } = read({ PARLEY_HTTP_PORT: '', PARLEY_REGISTRATION: '' })
    expect(settings).toEqual({
      httpPort: 8080,
      wsPort: 8081,
      rate: 50,
      registration: 'open',
      databaseUrl: undefined,
      publicUrl: undefined,
      drain: 10_000,
      trace: false,
      keySecret,
    })
    expect(warnings).toEqual([])
  })

  test('reads what is set', () => {
    const { settings } = read({
      PARLEY_HTTP_PORT: '1',
      PARLEY_WS_PORT: '0',
      PARLEY_USER_MESSAGES_PER_SECOND: '1000',
      PARLEY_REGISTRATION: 'closed',
      DATABASE_URL: 'postgres://a:b@c/d',
      PARLEY_WS_PUBLIC_URL: 'wss://chat.example/ws',
      PARLEY_DRAIN: '5m',
      PARLEY_TRACE: '1',
    })
    expect(settings).toMatchObject({
      httpPort: 1,
      wsPort: 0,
      rate: 1_000,
      registration: 'closed',
      databaseUrl: 'postgres://a:b@c/d',
      publicUrl: 'wss://chat.example/ws',
      drain: 300_000,
      trace: true,
    })
  })

  test('gives each field its own type', () => {
    const { settings } = read({})
    expectTypeOf(settings.httpPort).toEqualTypeOf<number>()
    expectTypeOf(settings.registration).toEqualTypeOf<'open' | 'invite' | 'closed'>()
    expectTypeOf(settings.databaseUrl).toEqualTypeOf<string | undefined>()
    expectTypeOf(settings.trace).toEqualTypeOf<boolean>()
    expectTypeOf(settings.keySecret).toEqualTypeOf<string>()
  })

  test('is frozen', () => {
    const { settings } = read({})
    expect(() => Object.assign(settings, { httpPort: 1 })).toThrow(TypeError)
  })

  test.each([
    ['PARLEY_HTTP_PORT', ['0', '65536', '80a', ' 80', '0x50', '1e3', '8080.0', '-1', '٣']],
    ['PARLEY_WS_PORT', ['-1', '65536', 'auto']],
    ['PARLEY_USER_MESSAGES_PER_SECOND', ['-1', '1001', 'NaN', 'Infinity', '99999999999999999999']],
    ['PARLEY_REGISTRATION', ['Open', 'constructor', 'open ']],
    ['PARLEY_WS_PUBLIC_URL', ['chat.example', 'http://chat.example', 'ws:/x', 'javascript:1']],
    ['PARLEY_DRAIN', ['5', '5 m', '11m', '-1s', '1.5s', '999999999999999s', 's', '1w']],
    ['PARLEY_TRACE', ['yes', 'TRUE', '__proto__', 'toString', '2']],
    ['DATABASE_URL', ['mysql://a/b', 'localhost:5432', 'postgres:']],
    ['PARLEY_KEY_SECRET', ['short']],
  ])('%s: a wrong value is refused by name', (name, wrong) => {
    for (const value of wrong) {
      const error = refusal({ [name]: value })
      expect(error.problems).toHaveLength(1)
      expect(error.message).toContain(`${name} is `)
      expect(error.message).toContain('it must be ')
    }
  })

  test('says what was given and what is allowed, and all wrong ones at once', () => {
    const error = refusal({
      PARLEY_HTTP_PORT: '80a',
      PARLEY_REGISTRATION: 'x'.repeat(1_000),
      PARLEY_KEY_SECRET: '',
    })
    expect(error.message.split('\n')).toEqual([
      '3 settings are wrong:',
      '  PARLEY_HTTP_PORT is "80a"; it must be a port from 1 to 65535',
      `  PARLEY_REGISTRATION is "${'x'.repeat(60)}…"; it must be one of open, invite, closed`,
      '  PARLEY_KEY_SECRET is not set; it must be at least 32 characters of base64',
    ])
  })

  test('never shows a secret, nor the password in a URL', () => {
    const error = refusal({
      PARLEY_KEY_SECRET: 'hunter2',
      DATABASE_URL: 'mysql://u:hunter2@h/d',
      PARLEY_WS_PUBLIC_URL: 'http://u:hunter2@h/',
    })
    expect(error.problems).toHaveLength(3)
    expect(error.message).not.toContain('hunter2')
  })

  test('warns of PARLEY_ variables that nothing reads, with the name that was meant', () => {
    const env = {
      PARLEY_KEY_SECRET: keySecret,
      PARLEY_HTTPPORT: '1',
      PARLEY_COLOUR: 'red',
      PATH: '/',
    }
    expect(readSettings(schema, env).warnings).toEqual([
      'PARLEY_COLOUR is not a setting of this process',
      'PARLEY_HTTPPORT is not a setting of this process; did you mean PARLEY_HTTP_PORT?',
    ])
    expect(readSettings(schema, env, ['PARLEY_COLOUR', 'PARLEY_HTTPPORT']).warnings).toEqual([])
  })

  test('hands the secrets that are set to the logger', () => {
    const { settings } = read({ DATABASE_URL: 'postgres://a:b@c/d' })
    expect(secretValues(schema, settings).sort()).toEqual([keySecret, 'postgres://a:b@c/d'])
    expect(secretValues(schema, read({}).settings)).toEqual([keySecret])
  })
})
