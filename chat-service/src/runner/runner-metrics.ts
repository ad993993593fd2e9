import { Counter, type Registry } from 'prom-client'

export interface RunnerMetrics {
  commands: Counter
  outcomes: Counter<'outcome'>
  pauses: Counter
  stopped: Counter
}

export function createRunnerMetrics(registry: Registry): RunnerMetrics {
  const registers = [registry]
  return {
    commands: new Counter({
      name: 'parley_sequencer_commands_total',
      help: 'Commands read from the log, replays included.',
      registers,
    }),
    outcomes: new Counter({
      name: 'parley_sequencer_outcomes_total',
      help: 'Outcomes told, by kind.',
      labelNames: ['outcome'],
      registers,
    }),
    pauses: new Counter({
      name: 'parley_sequencer_pauses_total',
      help: 'Times a partition stopped reading because one of its bounds was reached.',
      registers,
    }),
    stopped: new Counter({
      name: 'parley_sequencer_stopped_total',
      help: 'Partitions that stopped because going on would have broken a guarantee.',
      registers,
    }),
  }
}
