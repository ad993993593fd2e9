/** A head that no publish has shown yet. */
export class Rumour {
  head = 0
  #ticks = 0

  hear(head: number): void {
    if (head <= this.head) return
    this.head = head
    this.#ticks = 0
  }

  /** To be asked once a tick. */
  overdue(): boolean {
    this.#ticks += 1
    return this.#ticks > 1
  }
}
