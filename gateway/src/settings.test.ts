import { readSettings } from '@parley/platform/process/settings'
import { expect, test } from 'vitest'
import { gatewaySettings } from './settings.ts'

test('settings of the contract have its defaults', () => {
  const { settings } = readSettings(gatewaySettings, {})
  expect(settings).toMatchObject({
    host: '127.0.0.1',
    wsPort: 8081,
    userMessagesPerSecond: 50,
    userMessagesBurst: 200,
    wsIdleSeconds: 32,
  })
})

test.each([
  ['PARLEY_WS_PORT', '70000'],
  ['PARLEY_WS_PUBLIC_URL', 'http://example.org'],
  ['PARLEY_WS_IDLE_SECONDS', '5'],
  ['PARLEY_WS_ALLOWED_ORIGINS', 'example.org'],
])('a wrong %s is named', (name, value) => {
  expect(() => readSettings(gatewaySettings, { [name]: value })).toThrow(name)
})
