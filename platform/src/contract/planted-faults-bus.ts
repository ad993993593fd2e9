import type { Bus, BusHandler } from '@parley/platform/ports/bus'

/** A way in which an adapter could break the port, put between the suite and a whole adapter. */
export interface BusFault {
  name: string
  /** The rule whose checks must notice. */
  rule: string
  wrap(bus: Bus): Bus
}

export const busFaults: readonly BusFault[] = [
  {
    name: 'a lost publish: every seventh resolves and goes nowhere',
    rule: 'BUS3',
    wrap(bus) {
      let count = 0
      return {
        ...bus,
        async publish(channel, payload) {
          count += 1
          if (count % 7 > 0) await bus.publish(channel, payload)
        },
      }
    },
  },
  {
    name: 'a doubled publish: every seventh arrives twice',
    rule: 'BUS1',
    wrap(bus) {
      let count = 0
      return {
        ...bus,
        async publish(channel, payload) {
          count += 1
          await bus.publish(channel, payload)
          if (count % 7 === 0) await bus.publish(channel, payload)
        },
      }
    },
  },
  {
    name: 'reordered publishes: every seventh comes after its next',
    rule: 'BUS2',
    wrap(bus) {
      let count = 0
      let kept: (() => Promise<void>) | null = null
      return {
        ...bus,
        async publish(channel, payload) {
          count += 1
          if (count % 7 === 0) {
            kept = () => bus.publish(channel, payload)
            return
          }
          await bus.publish(channel, payload)
          await kept?.()
          kept = null
        },
      }
    },
  },
  {
    name: 'a publish that everyone hears, whatever the channel',
    rule: 'BUS1',
    wrap: (bus) => ({
      ...bus,
      publish: (_, payload) => bus.publish('all', payload),
      subscribe: (_, handler) => bus.subscribe('all', handler),
      unsubscribe: (_, handler) => bus.unsubscribe('all', handler),
    }),
  },
  {
    name: 'publishes are kept for who subscribes later',
    rule: 'BUS1',
    wrap(bus) {
      const kept = new Map<string, Uint8Array>()
      return {
        ...bus,
        async publish(channel, payload) {
          kept.set(channel, payload)
          await bus.publish(channel, payload)
        },
        async subscribe(channel, handler) {
          await bus.subscribe(channel, handler)
          const last = kept.get(channel)
          if (last !== undefined) setImmediate(() => handler(last, channel))
        },
      }
    },
  },
  {
    name: 'an unsubscribe that does nothing',
    rule: 'BUS1',
    wrap: (bus) => ({ ...bus, unsubscribe: async () => {} }),
  },
  {
    name: 'payloads that went through text',
    rule: 'BUS4',
    wrap: (bus) => ({
      ...bus,
      publish: (channel, payload) =>
        bus.publish(channel, Buffer.from(Buffer.from(payload).toString())),
    }),
  },
  {
    name: 'handlers called inside publish',
    rule: 'BUS5',
    wrap(bus) {
      const handlers = new Map<string, Set<BusHandler>>()
      return {
        ...bus,
        async publish(channel, payload) {
          for (const handler of handlers.get(channel) ?? []) handler(payload, channel)
        },
        async subscribe(channel, handler) {
          handlers.set(channel, (handlers.get(channel) ?? new Set()).add(handler))
        },
      }
    },
  },
  {
    name: 'one handler per channel: the last takes the place of those before',
    rule: 'BUS5',
    wrap(bus) {
      const present = new Map<string, BusHandler>()
      return {
        ...bus,
        async subscribe(channel, handler) {
          const before = present.get(channel)
          if (before !== undefined) await bus.unsubscribe(channel, before)
          present.set(channel, handler)
          await bus.subscribe(channel, handler)
        },
      }
    },
  },
  {
    name: 'a handler subscribed twice is called twice',
    rule: 'BUS6',
    wrap: (bus) => ({
      ...bus,
      subscribe: (channel, handler) =>
        bus.subscribe(channel, (payload, name) => handler(payload, name)),
    }),
  },
  {
    name: 'a close after which publishes still resolve',
    rule: 'BUS7',
    wrap: (bus) => ({ ...bus, publish: (...of) => bus.publish(...of).catch(() => {}) }),
  },
]
