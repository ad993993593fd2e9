import type { Setting } from './settings.ts'

/** What every field may say: a default, or that it may be absent (undefined then), or neither: it must be set. */
interface Common<T> {
  default?: T
  optional?: true
  secret?: true
}
type Read<T, C> = Setting<C extends { optional: true } ? T | undefined : T>

interface Field<T> {
  name: string
  common: Common<T>
  allowed: string
  parse: (text: string) => T | undefined
}

function field<T, C extends Common<T>>({ name, common, allowed, parse }: Field<T>): Read<T, C> {
  const absent =
    common.default !== undefined || common.optional === true
      ? { value: common.default as T }
      : ('required' as const)
  return { name, secret: common.secret === true, allowed, absent, parse } as Read<T, C>
}

export function integer<const C extends Common<number> & { min: number; max: number }>(
  name: string,
  spec: C,
): Read<number, C> {
  const { min, max } = spec
  return field<number, C>({
    name,
    common: spec,
    allowed: `a whole number from ${min} to ${max}`,
    parse: (text) => wholeNumber(text, min, max),
  })
}

/** A TCP port; 0 picks a free one, where `orFree` allows it. */
export function port<const C extends Common<number> & { orFree?: true }>(
  name: string,
  spec: C,
): Read<number, C> {
  const min = spec.orFree === true ? 0 : 1
  return field<number, C>({
    name,
    common: spec,
    allowed: `a port from 1 to 65535${min === 0 ? ', or 0 for a free one' : ''}`,
    parse: (text) => wholeNumber(text, min, 65_535),
  })
}

/** `allowed` says in words what the pattern wants. */
export function text<const C extends Common<string> & { pattern: RegExp; allowed: string }>(
  name: string,
  spec: C,
): Read<string, C> {
  return field<string, C>({
    name,
    common: spec,
    allowed: spec.allowed,
    parse: (given) => (spec.pattern.test(given) ? given : undefined),
  })
}

export function choice<const V extends readonly string[], const C extends Common<V[number]>>(
  name: string,
  values: V,
  spec: C,
): Read<V[number], C> {
  return field<V[number], C>({
    name,
    common: spec,
    allowed: `one of ${values.join(', ')}`,
    parse: (given) => values.find((value) => value === given),
  })
}

/** A URL as it was given. `protocols` are without the colon: `['http', 'https']`. */
export function url<const C extends Common<string> & { protocols: readonly string[] }>(
  name: string,
  spec: C,
): Read<string, C> {
  return field<string, C>({
    name,
    common: spec,
    allowed: `a URL that begins with ${spec.protocols.map((p) => `${p}://`).join(' or ')}`,
    parse: (given) => {
      const parsed = URL.canParse(given) ? new URL(given) : undefined
      return parsed !== undefined &&
        spec.protocols.includes(parsed.protocol.slice(0, -1)) &&
        given.startsWith(`${parsed.protocol}//`)
        ? given
        : undefined
    },
  })
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** Milliseconds, written as a number and a unit: `500ms`, `30s`, `5m`, `1h`, `7d`. */
export function duration<const C extends Common<number> & { minMs: number; maxMs: number }>(
  name: string,
  spec: C,
): Read<number, C> {
  const { minMs, maxMs } = spec
  return field<number, C>({
    name,
    common: spec,
    allowed: `a duration from ${minMs}ms to ${maxMs}ms, such as 500ms, 30s, 5m or 1h`,
    parse: (given) => {
      const [, count, unit] = /^(\d{1,12})(ms|s|m|h|d)$/.exec(given) ?? []
      const ms =
        Number(count) * (unit === undefined ? Number.NaN : unitMs[unit as keyof typeof unitMs])
      return ms >= minMs && ms <= maxMs ? ms : undefined
    },
  })
}

const flags = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
])

export function flag<const C extends Common<boolean>>(name: string, spec: C): Read<boolean, C> {
  return field<boolean, C>({
    name,
    common: spec,
    allowed: 'true or false',
    parse: (given) => flags.get(given),
  })
}

function wholeNumber(text: string, min: number, max: number): number | undefined {
  const value = /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  return value >= min && value <= max ? value : undefined
}
