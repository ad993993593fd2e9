import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** One process's metrics. The registry is its own, so two services in one process, or two tests, don't meet. */
export interface Metrics {
  readonly registry: Registry
  /** Names end in `_total`. Labels take few values: never ids or what a client sent. */
  counter<const L extends string = never>(name: string, help: string, labels?: L[]): Counter<L>
  gauge<const L extends string = never>(name: string, help: string, labels?: L[]): Gauge<L>
  /** A gauge that is read when it is asked for. */
  observe(name: string, help: string, read: () => number): void
  /** Names end in their unit, `_seconds` or `_bytes`. */
  histogram<const L extends string = never>(
    name: string,
    help: string,
    options: { buckets: number[]; labels?: L[] },
  ): Histogram<L>
  /** The Prometheus text exposition and its content type. */
  exposition(): Promise<{ contentType: string; text: string }>
}

/** Seconds, from half a millisecond to 10 s. */
export const latencyBuckets = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
]

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  return {
    registry,
    counter: (name, help, labelNames = []) => new Counter({ name, help, labelNames, registers }),
    gauge: (name, help, labelNames = []) => new Gauge({ name, help, labelNames, registers }),
    observe(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    },
    histogram: (name, help, { buckets, labels = [] }) =>
      new Histogram({ name, help, buckets, labelNames: labels, registers }),
    async exposition() {
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
  }
}
