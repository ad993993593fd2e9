/**
 * The bus: fan-out to whoever listens now. Everything on it is disposable.
 *
 * Guarantees, the same for every adapter (contract suite: `contract/bus.ts`, whose tests carry these ids):
 * - [BUS1] At most once: a publish reaches each current subscriber of its channel once or not at all; nothing is kept.
 * - [BUS2] Order: what one publisher puts on one channel arrives in that order.
 * - [BUS3] A subscriber hears every publish that begins after its `subscribe` resolved, as long as no link breaks.
 * - [BUS4] Payloads are bytes, arrive as they were, and must not be changed by anyone after `publish`.
 * - [BUS5] A handler is never called inside `publish` or `subscribe`, and its throwing hurts no other handler.
 * - [BUS6] A handler subscribed to one channel twice is called once a publish, and one `unsubscribe` ends it.
 * - [BUS7] After `close` no handler is called, and `publish` and `subscribe` reject. What waits is bounded: beyond the
 *   bound `publish` rejects.
 */
export interface Bus {
  /** Resolves when handed over, which says nothing about who got it. Rejects when the bus is away. */
  publish(channel: string, payload: Uint8Array): Promise<void>
  /** Resolves when the subscription stands. */
  subscribe(channel: string, handler: BusHandler): Promise<void>
  /** The handler is not called any more once this resolved. */
  unsubscribe(channel: string, handler: BusHandler): Promise<void>
  /** Called whenever publishes may have been missed (a lost link was mended): every reader must check its head. */
  onInterruption(listener: () => void): void
  close(): Promise<void>
}

export type BusHandler = (payload: Uint8Array, channel: string) => void
