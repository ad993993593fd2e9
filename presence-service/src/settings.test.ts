import { readSettings } from '@parley/platform/process/settings'
import { expect, it } from 'vitest'
import { defaultSettings, presenceSettings } from './settings.ts'

it('every bound has a default, is read from its own variable, and what is out of bounds is refused', () => {
  const names = Object.values(presenceSettings).map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  for (const name of names) expect(name).toMatch(/^PARLEY_PRESENCE_/)
  expect(readSettings(presenceSettings, {}).settings).toEqual(defaultSettings)
  const { settings, warnings } = readSettings(presenceSettings, {
    PARLEY_PRESENCE_SWEEP_INTERVAL: '100ms',
    PARLEY_PRESENCE_MAX_TOLD: '7',
  })
  expect(settings).toMatchObject({ sweepIntervalMs: 100, maxTold: 7 })
  expect(warnings).toEqual([])
  expect(() => readSettings(presenceSettings, { PARLEY_PRESENCE_SWEEP_INTERVAL: '5s' })).toThrow(
    'PARLEY_PRESENCE_SWEEP_INTERVAL is "5s"; it must be a duration from 10ms to 1000ms',
  )
})
