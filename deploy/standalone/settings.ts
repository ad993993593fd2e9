import { chatSettings } from '@parley/chat-service/settings'
import { gatewaySettings } from '@parley/gateway/settings'
import { logLevels } from '@parley/platform/process/logs'
import { choice, integer, port, text, url } from '@parley/platform/process/setting-fields'
import { readSettings, type Schema, type Settings } from '@parley/platform/process/settings'
import { StartError } from '@parley/platform/process/start-error'
import { presenceSettings } from '@parley/presence-service/settings'
import { storageSettings } from '@parley/storage-worker/settings'

/** Every setting of the standalone process: its own, and those of the services in it. */
export const standaloneSettings = {
  ...storageSettings,
  ...chatSettings,
  ...gatewaySettings,
  httpPort: port('PARLEY_HTTP_PORT', { default: 8080, orFree: true }),
  dataDir: text('PARLEY_DATA_DIR', {
    default: './.parley',
    pattern: /^[^\0]{1,1024}$/,
    allowed: 'a folder',
  }),
  /** Quiet unless told: whoever runs this by hand wants to see the address, not the log. */
  logLevel: choice('PARLEY_LOG_LEVEL', logLevels, { default: 'warn' }),
  partitions: integer('PARLEY_PARTITIONS', { min: 1, max: 1_024, default: 4 }),
  databaseUrl: url('DATABASE_URL', {
    optional: true,
    secret: true,
    protocols: ['postgres', 'postgresql'],
  }),
} as const

export type StandaloneSettings = Settings<typeof standaloneSettings> & {
  /** Apart, since its names within the process are those of storage-worker's. */
  readonly presence: Settings<typeof presenceSettings>
}

/** Real parts that only the services as processes of their own can use. */
const clusterOnly = ['REDIS_URL', 'KAFKA_BROKERS']

/** Throws SettingsError or StartError. */
export function readStandaloneSettings(env: Readonly<Record<string, string | undefined>>): {
  settings: StandaloneSettings
  warnings: string[]
} {
  const foreign = clusterOnly.find((name) => env[name])
  if (foreign !== undefined) {
    throw new StartError(
      `${foreign} is set, but the standalone has its log and its fan-out embedded: unset it`,
    )
  }
  const presence = readSettings(presenceSettings, env, namesOf(standaloneSettings))
  const { settings, warnings } = readSettings(standaloneSettings, env, namesOf(presenceSettings))
  return { settings: Object.freeze({ ...settings, presence: presence.settings }), warnings }
}

function namesOf(schema: Schema): string[] {
  return Object.values(schema).map(({ name }) => name)
}
