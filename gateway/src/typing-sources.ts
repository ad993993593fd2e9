/** What connections of this gateway type, and until when that holds. Pure; times are milliseconds of one clock. */
export class TypingSources<C> {
  readonly #byConnection = new Map<C, Map<string, Source>>()

  /** Whether the others must be told: a repetition within `repeatMs` only prolongs, an end of nothing is nothing. */
  say(connection: C, conversation: string, active: boolean, now: number): boolean {
    if (!active) return this.end(connection, conversation)
    let sources = this.#byConnection.get(connection)
    if (sources === undefined) {
      sources = new Map()
      this.#byConnection.set(connection, sources)
    }
    const source = sources.get(conversation)
    const until = now + typingTimes.lastsMs
    if (source !== undefined && now - source.toldAt < typingTimes.repeatMs) {
      source.until = until
      return false
    }
    sources.set(conversation, { until, toldAt: now })
    return true
  }

  /** It has ended. False when it was not typing. */
  end(connection: C, conversation: string): boolean {
    const sources = this.#byConnection.get(connection)
    if (sources === undefined || !sources.delete(conversation)) return false
    if (sources.size === 0) this.#byConnection.delete(connection)
    return true
  }

  /** The connection is gone; gives the conversations it was typing in. */
  endAll(connection: C): string[] {
    const conversations = [...(this.#byConnection.get(connection)?.keys() ?? [])]
    this.#byConnection.delete(connection)
    return conversations
  }

  /** Ends what has not been repeated in time, and gives it. */
  expire(now: number): { connection: C; conversation: string }[] {
    const ended: { connection: C; conversation: string }[] = []
    for (const [connection, sources] of this.#byConnection) {
      for (const [conversation, { until }] of sources) {
        if (until <= now) ended.push({ connection, conversation })
      }
    }
    for (const { connection, conversation } of ended) this.end(connection, conversation)
    return ended
  }

  get size(): number {
    return this.#byConnection.size
  }
}

interface Source {
  until: number
  toldAt: number
}

export const typingTimes = {
  /** After the last `active` the server sends the end. */
  lastsMs: 6_000,
  /** A client that repeats itself more often is not told on. */
  repeatMs: 1_000,
  /**
   * A gateway that hears no end sends it by itself: more than `lastsMs` and `repeatMs` together, so that this happens only
   * when the origin is gone or its word was lost.
   */
  unheardMs: 8_000,
} as const
