/**
 * How far users were shown to have read, by conversation: what is not beyond that is not shown again, so nobody is told
 * a lower position than before ([G9]). Pure.
 */
export class ReadViews {
  readonly #byConversation = new Map<string, Map<string, number>>()
  readonly #maxUsers: number

  /** Positions are shown where there are few members; of more users than that the longest silent are forgotten. */
  constructor(maxUsers = 1_000) {
    this.#maxUsers = maxUsers
  }

  /** Whether the position is news, and to be shown. */
  advance(conversation: string, user: string, seq: number): boolean {
    const users = this.#byConversation.get(conversation) ?? new Map<string, number>()
    if (seq <= (users.get(user) ?? 0)) return false
    this.#byConversation.set(conversation, users)
    users.delete(user)
    users.set(user, seq)
    const [eldest] = users.keys()
    if (users.size > this.#maxUsers && eldest !== undefined) users.delete(eldest)
    return true
  }

  /** Nobody reads the conversation here any more. */
  forget(conversation: string): void {
    this.#byConversation.delete(conversation)
  }
}
