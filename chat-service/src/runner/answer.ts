import type { Command } from '@parley/proto/commands'
import { errors } from '@parley/proto/errors'
import type { Ack, ErrorFrame } from '@parley/proto/frames'
import type { Outcome } from '../sequencer/outcome.ts'

/** The frame that answers a command. `passed` is unknown to us and retryable to its client ([R7]). */
export function answerTo({ id, conversation }: Command, outcome: Outcome): Ack | ErrorFrame {
  switch (outcome.type) {
    case 'accepted':
      return { type: 'ack', id, conversation, seq: outcome.event.seq, at: outcome.event.at }
    case 'duplicate': {
      const ack: Ack = { type: 'ack', id, conversation, seq: outcome.seq, at: outcome.at }
      return outcome.again ? ack : { ...ack, duplicate: true }
    }
    case 'refused': {
      const { code, message } = outcome
      return { type: 'error', code, message, retryable: errors[code].retryable, id }
    }
    case 'passed':
      return { type: 'error', code: 'unavailable', message: 'ask again', retryable: true, id }
  }
}
