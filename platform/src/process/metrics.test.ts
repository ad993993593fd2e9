import { register } from 'prom-client'
import { expect, test } from 'vitest'
import { createMetrics } from './metrics.ts'

test('each process has metrics of its own, and none go to the global registry', async () => {
  const one = createMetrics()
  const two = createMetrics()
  const sends = one.counter('parley_sends_total', 'Sends.', ['outcome'])
  two.counter('parley_sends_total', 'Sends.')
  sends.inc({ outcome: 'ack' }, 3)
  expect((await one.exposition()).text).toContain('parley_sends_total{outcome="ack"} 3')
  expect((await two.exposition()).text).toContain('parley_sends_total 0')
  expect(register.getMetricsAsArray()).toEqual([])
})

test('the exposition is Prometheus text with the process’s own figures', async () => {
  const metrics = createMetrics()
  let connections = 7
  metrics.observe('parley_connections', 'Open connections.', () => connections)
  metrics.histogram('parley_append_seconds', 'Appends.', { buckets: [0.1, 1] }).observe(0.5)
  metrics.gauge('parley_lag', 'Lag.').set(2)
  connections = 9
  const { contentType, text } = await metrics.exposition()
  expect(contentType).toMatch(/^text\/plain; version=0\.0\.4/)
  for (const line of [
    'parley_connections 9',
    'parley_append_seconds_bucket{le="1"} 1',
    'parley_lag 2',
    'process_resident_memory_bytes ',
    'nodejs_eventloop_lag_seconds ',
  ]) {
    expect(text).toContain(line)
  }
})
