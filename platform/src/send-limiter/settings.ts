import { integer } from '@parley/platform/process/setting-fields'

/** How fast one user may send: the same for gateways and REST, so that neither is the way around the other. */
export const sendRateSettings = {
  /** 0 lifts the limit. */
  userMessagesPerSecond: integer('PARLEY_USER_MESSAGES_PER_SECOND', {
    min: 0,
    max: 1_000_000,
    default: 50,
  }),
  userMessagesBurst: integer('PARLEY_USER_MESSAGES_BURST', {
    min: 1,
    max: 1_000_000,
    default: 200,
  }),
} as const
