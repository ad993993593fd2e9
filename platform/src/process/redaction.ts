/** Stands where something was struck out. */
export const struck = '[redacted]'

/** Names of fields that are never written, compared without case, `-` and `_`. */
const secretNames = new Set([
  'authorization',
  'proxyauthorization',
  'cookie',
  'setcookie',
  'token',
  'accesstoken',
  'refreshtoken',
  'ticket',
  'invite',
  'password',
  'passwordhash',
  'secret',
  'privatekey',
  'privatejwk',
  'databaseurl',
  'redisurl',
  // What people write to each other.
  'body',
  'text',
  'title',
])

const depthMost = 8
const itemsMost = 100
const bytesShown = 'bytes'

function isSecret(key: string): boolean {
  const plain = key.toLowerCase().replace(/[-_]/g, '')
  return secretNames.has(plain) || (plain.startsWith('parley') && plain.includes('secret'))
}

/** A copy without secret fields, bounded in depth and width. */
export function withoutSecrets(fields: Record<string, unknown>): Record<string, unknown> {
  return copyFields(fields, 0)
}

function copyFields(fields: object, depth: number): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields).slice(0, itemsMost)) {
    copy[key] = isSecret(key) ? struck : copyValue(value, depth + 1)
  }
  return copy
}

function copyValue(value: unknown, depth: number): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth > depthMost) return '…'
  if (value instanceof Error) return describeError(value, depth)
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (ArrayBuffer.isView(value)) return `${value.byteLength} ${bytesShown}`
  if (Array.isArray(value)) {
    return value.slice(0, itemsMost).map((item) => copyValue(item, depth + 1))
  }
  if (value instanceof Map) return copyFields(Object.fromEntries(value), depth)
  if (value instanceof Set) return copyValue([...value], depth)
  return copyFields(value, depth)
}

/** What else an error carries is left out: a database's detail, statement or parameters. */
function describeError(error: Error, depth: number): Record<string, unknown> {
  const { code } = error as { code?: unknown }
  return {
    type: error.name,
    message: error.message,
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    stack: (error.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .join('\n'),
    ...(error.cause === undefined ? {} : { cause: copyValue(error.cause, depth + 1) }),
    ...(error instanceof AggregateError ? { errors: copyValue(error.errors, depth + 1) } : {}),
  }
}

/** Shorter values are no secrets worth the name, and striking them out would eat the log. */
const secretLengthLeast = 6

/**
 * Strikes out, in a finished line: the given secrets, credentials in URLs, Bearer tokens, JWTs, and the detail (it may
 * hold a whole row) that MikroORM adds to the messages of PostgreSQL's errors.
 */
export function createScrubber(secrets: readonly string[]): (line: string) => string {
  const literals = secrets
    .filter((secret) => secret.length >= secretLengthLeast)
    .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)])
  const patterns = [...new Set(literals)].map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  // Longest first, so that a secret within another leaves no rest of it.
  patterns.sort((a, b) => b.length - a.length)
  const given = patterns.length === 0 ? undefined : new RegExp(patterns.join('|'), 'g')
  return (line) => {
    const cleaned = given === undefined ? line : line.replace(given, struck)
    return cleaned
      .replace(/(:\/\/[^\s/:@"\\]*:)[^\s/@"\\]+@/g, `$1${struck}@`)
      .replace(/\b(Bearer|Basic) +[\w.~+/=-]{8,}/gi, `$1 ${struck}`)
      .replace(/\\n - detail: (?:[^"\\]|\\.)*/g, '')
      .replace(/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, struck)
  }
}
