import type { Metrics } from '@parley/platform/process/metrics'
import type { Counter } from 'prom-client'

export interface RunnerMetrics {
  commands: Counter
  outcomes: Counter<'outcome'>
  pauses: Counter
  stopped: Counter
  repliesGivenUp: Counter
  publishesLost: Counter
}

export function createRunnerMetrics(metrics: Metrics): RunnerMetrics {
  return {
    commands: metrics.counter(
      'parley_sequencer_commands_total',
      'Commands read from the log, replays included.',
    ),
    outcomes: metrics.counter('parley_sequencer_outcomes_total', 'Outcomes told, by kind.', [
      'outcome',
    ]),
    pauses: metrics.counter(
      'parley_sequencer_pauses_total',
      'Times a partition stopped reading because one of its bounds was reached.',
    ),
    stopped: metrics.counter(
      'parley_sequencer_stopped_total',
      'Partitions that stopped because going on would have broken a guarantee.',
    ),
    repliesGivenUp: metrics.counter(
      'parley_sequencer_replies_given_up_total',
      'Replies that reached nobody; their clients ask again with the same id.',
    ),
    publishesLost: metrics.counter(
      'parley_sequencer_publishes_lost_total',
      'Publishes that the bus refused; readers repair from seqs and heads.',
    ),
  }
}
