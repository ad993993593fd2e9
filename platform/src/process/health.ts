/** Ready, or why not, in a few words that an operator understands. */
export type Readiness = { ok: true } | { ok: false; reason: string }

export interface HealthReport {
  ready: boolean
  checks: Record<string, Readiness>
}

/**
 * Readiness says whether to send this process work, liveness whether to restart it. A part that is away makes it not
 * ready and never not alive, since a restart would not bring that part back.
 */
export interface Health {
  /** Asked on every report, at most once at a time, and given `timeoutMs`. Throws when the name is taken. */
  add(name: string, check: () => Readiness | Promise<Readiness>, timeoutMs?: number): void
  remove(name: string): void
  ready(): Promise<HealthReport>
  /** From now on this process can't recover by itself. */
  declareDead(reason: string): void
  live(): { live: boolean; reason?: string }
}

const defaultTimeoutMs = 2_000

export function createHealth(): Health {
  const checks = new Map<string, () => Promise<Readiness>>()
  let asked: Promise<HealthReport> | undefined
  let death: string | undefined

  async function ask(): Promise<HealthReport> {
    const answers = await Promise.all(
      [...checks].map(async ([name, check]) => [name, await check()] as const),
    )
    return { ready: answers.every(([, answer]) => answer.ok), checks: Object.fromEntries(answers) }
  }

  return {
    add(name, check, timeoutMs = defaultTimeoutMs) {
      if (checks.has(name)) throw new Error(`two readiness checks are named ${name}`)
      checks.set(name, bounded(check, timeoutMs))
    },
    remove: (name) => void checks.delete(name),
    ready() {
      asked ??= ask().finally(() => {
        asked = undefined
      })
      return asked
    },
    declareDead(reason) {
      death ??= reason
    },
    live: () => (death === undefined ? { live: true } : { live: false, reason: death }),
  }
}

/** Answers within the time. A check that hangs is not asked again before it has answered. */
function bounded(
  check: () => Readiness | Promise<Readiness>,
  timeoutMs: number,
): () => Promise<Readiness> {
  let pending: Promise<Readiness> | undefined
  return async () => {
    pending ??= Promise.resolve()
      .then(check)
      .catch((error): Readiness => {
        return { ok: false, reason: error instanceof Error ? error.message : String(error) }
      })
      .finally(() => {
        pending = undefined
      })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<Readiness>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, { ok: false, reason: `no answer in ${timeoutMs} ms` })
    })
    try {
      return await Promise.race([pending, late])
    } finally {
      clearTimeout(timer)
    }
  }
}
