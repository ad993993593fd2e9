import { hash, verify } from '@node-rs/argon2'
import { type Failure, failure } from '@parley/proto/errors'

/**
 * argon2id with 19 MiB, 2 passes, 1 lane: the first choice of OWASP's Password Storage Cheat Sheet (2024). The
 * package's default algorithm is argon2id; its enum can't be named under type stripping.
 */
const argon2 = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }

export interface PasswordHasherOptions {
  /** Hashes at work at once. Each takes 19 MiB and one of libuv's four threads. */
  concurrent: number
  /** Calls that may wait for their turn; one more is `overloaded`. */
  waiting: number
}

export interface PasswordHasher {
  hash(password: string): Promise<{ ok: true; hash: string } | Failure>
  /** `stored` undefined (nobody has that name) takes as long as a wrong password does, and is never a match. */
  verify(
    stored: string | undefined,
    password: string,
  ): Promise<{ ok: true; match: boolean } | Failure>
}

export function createPasswordHasher(options: PasswordHasherOptions): PasswordHasher {
  let running = 0
  const queue: (() => void)[] = []
  /* Made once, before anyone can ask: the first unknown user must not take twice as long. */
  const nobody = hash('no password opens this', argon2)
  nobody.catch(() => {})

  async function inTurn<T>(work: () => Promise<T>): Promise<T | Failure> {
    if (running >= options.concurrent) {
      if (queue.length >= options.waiting) {
        return failure('overloaded', 'too many passwords are being checked, try again', 1_000)
      }
      /* The one who leaves hands its place over, so `running` stays as it is. */
      await new Promise<void>((resolve) => queue.push(resolve))
    } else {
      running += 1
    }
    try {
      return await work()
    } finally {
      const next = queue.shift()
      if (next === undefined) running -= 1
      else next()
    }
  }

  return {
    hash: (password) =>
      inTurn(async () => ({ ok: true, hash: await hash(normalize(password), argon2) })),
    verify: (stored, password) =>
      inTurn(async () => {
        const match = await verify(stored ?? (await nobody), normalize(password))
        return { ok: true, match: match && stored !== undefined }
      }),
  }
}

/** The same password typed on another system is the same bytes (RFC 8265, OpaqueString). */
function normalize(password: string): string {
  return password.normalize('NFC')
}
