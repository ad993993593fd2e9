/**
 * The bus: fan-out to whoever listens now. Everything on it is disposable.
 *
 * Guarantees, the same for every adapter (contract suite: `contract/bus.ts`):
 * - At most once: a publish reaches each current subscriber of its channel once or not at all; nothing is kept.
 * - Order: what one publisher puts on one channel arrives in that order.
 * - A subscriber hears every publish that begins after its `subscribe` resolved, as long as no link breaks.
 * - Payloads are bytes and must not be changed by anyone after `publish`.
 * - A handler is never called inside `publish` or `subscribe`, and its throwing hurts no other handler.
 */
export interface Bus {
  /** Resolves when handed over, which says nothing about who got it. Rejects when the bus is away. */
  publish(channel: string, payload: Uint8Array): Promise<void>
  /** Resolves when the subscription stands. One handler may be subscribed once per channel. */
  subscribe(channel: string, handler: BusHandler): Promise<void>
  unsubscribe(channel: string, handler: BusHandler): Promise<void>
  /** Called whenever publishes may have been missed (a lost link was mended): every reader must check its head. */
  onInterruption(listener: () => void): void
  close(): Promise<void>
}

export type BusHandler = (payload: Uint8Array, channel: string) => void
