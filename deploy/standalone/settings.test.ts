import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readStandaloneSettings } from './settings.ts'

test('[W1] with nothing set the settings of the contract have its defaults', () => {
  expect(readStandaloneSettings({}).settings).toMatchObject({
    host: '127.0.0.1',
    httpPort: 8080,
    wsPort: 8081,
    dataDir: './.parley',
    registration: 'open',
    accessTokenSeconds: 900,
    userMessagesPerSecond: 50,
    userMessagesBurst: 200,
  })
  const { wsPublicUrl, databaseUrl } = readStandaloneSettings({}).settings
  expect([wsPublicUrl, databaseUrl]).toEqual([undefined, undefined])
})

test('[W1] each is set by its variable', () => {
  const { settings } = readStandaloneSettings({
    PARLEY_HOST: '::1',
    PARLEY_HTTP_PORT: '0',
    PARLEY_WS_PORT: '0',
    PARLEY_WS_PUBLIC_URL: 'wss://chat.example/ws',
    PARLEY_DATA_DIR: '/var/lib/parley',
    PARLEY_REGISTRATION: 'invite',
    PARLEY_ACCESS_TOKEN_SECONDS: '60',
    PARLEY_USER_MESSAGES_PER_SECOND: '0',
    PARLEY_USER_MESSAGES_BURST: '5',
    DATABASE_URL: 'postgres://parley@db/parley',
  })
  expect(settings).toMatchObject({
    host: '::1',
    httpPort: 0,
    wsPort: 0,
    wsPublicUrl: 'wss://chat.example/ws',
    dataDir: '/var/lib/parley',
    registration: 'invite',
    accessTokenSeconds: 60,
    userMessagesPerSecond: 0,
    userMessagesBurst: 5,
    databaseUrl: 'postgres://parley@db/parley',
  })
})

test.each(['REDIS_URL', 'KAFKA_BROKERS'])('[W1] %s is refused by name', (name) => {
  expect(() => readStandaloneSettings({ [name]: 'elsewhere:1' })).toThrow(name)
})

test('[W1] SPEC.md names these variables', async () => {
  const spec = await readFile(join(import.meta.dirname, '../../proto/SPEC.md'), 'utf8')
  const table = spec.slice(spec.indexOf('**[W1]**'), spec.indexOf('**[W2]**'))
  for (const name of table.match(/PARLEY_[A-Z_]+/g) ?? []) {
    expect(() => readStandaloneSettings({ [name]: '\0' }), name).toThrow(name)
  }
  expect(table.match(/PARLEY_[A-Z_]+/g)).toHaveLength(9)
})
