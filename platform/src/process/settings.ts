/**
 * One process's settings: a table of fields, read once at start into a frozen object. Every wrong value is reported
 * in one error. An empty variable counts as not set, since that is how compose files pass on what they lack.
 */
export interface Setting<T> {
  /** The variable's name, such as `PARLEY_HTTP_PORT`. */
  readonly name: string
  /** Its value is never shown. */
  readonly secret: boolean
  /** What is allowed, to stand after "must be". */
  readonly allowed: string
  /** What counts when the variable is not set; `required` when something must be. */
  readonly absent: { value: T } | 'required'
  /** Undefined when the text is not allowed. */
  parse(text: string): T | undefined
}

export type Schema = Record<string, Setting<unknown>>
export type Settings<S extends Schema> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never
}

export class SettingsError extends Error {
  override readonly name = 'SettingsError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(
      problems.length === 1
        ? String(problems[0])
        : `${problems.length} settings are wrong:\n${problems.map((p) => `  ${p}`).join('\n')}`,
    )
    this.problems = problems
  }
}

/**
 * Throws SettingsError. `warnings` names the `PARLEY_*` variables that no field reads; `alsoKnown` are names that
 * other processes of the same environment read.
 */
export function readSettings<S extends Schema>(
  schema: S,
  env: Readonly<Record<string, string | undefined>>,
  alsoKnown: readonly string[] = [],
): { settings: Settings<S>; warnings: string[] } {
  const values: Record<string, unknown> = {}
  const problems: string[] = []
  for (const [key, setting] of Object.entries(schema)) {
    const text = env[setting.name] ?? ''
    if (text === '') {
      if (setting.absent === 'required') {
        problems.push(`${setting.name} is not set; it must be ${setting.allowed}`)
      } else values[key] = setting.absent.value
      continue
    }
    const value = setting.parse(text)
    if (value === undefined) {
      problems.push(`${setting.name} is ${shown(text, setting)}; it must be ${setting.allowed}`)
    } else values[key] = value
  }
  if (problems.length > 0) throw new SettingsError(problems)
  const known = [...Object.values(schema).map((setting) => setting.name), ...alsoKnown]
  return { settings: Object.freeze(values) as Settings<S>, warnings: strangers(env, known) }
}

/** The values of the secret fields, for the logger to strike out. */
export function secretValues<S extends Schema>(schema: S, settings: Settings<S>): string[] {
  return Object.entries(schema)
    .filter(([, setting]) => setting.secret)
    .map(([key]): unknown => settings[key])
    .filter((value): value is string => typeof value === 'string')
}

const shownLength = 60

function shown(text: string, setting: Setting<unknown>): string {
  // A URL may hold a password even where its field is no secret.
  if (setting.secret || /\/\/[^/]*@/.test(text)) return 'not allowed (not shown)'
  return JSON.stringify(text.length > shownLength ? `${text.slice(0, shownLength)}…` : text)
}

function strangers(env: Readonly<Record<string, string | undefined>>, known: string[]): string[] {
  return Object.keys(env)
    .filter((name) => name.startsWith('PARLEY_') && !known.includes(name))
    .sort()
    .map((name) => {
      const near = known.find((other) => distance(name, other) <= 3)
      const hint = near === undefined ? '' : `; did you mean ${near}?`
      return `${name} is not a setting of this process${hint}`
    })
}

/** Levenshtein distance of two names. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
