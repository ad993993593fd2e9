import { fullBucket, type Rate, takeTokens } from '@parley/platform/send-limiter/token-bucket'

/** [G10] How much of the ephemeral this gateway does in a second, over all connections; beyond, it is dropped. */
export interface Budget {
  /** False: not now. A count above the whole burst is never spent. */
  spend(count: number): boolean
}

export function createBudget(rate: Rate, now: () => number): Budget {
  const bucket = fullBucket(rate, now())
  return { spend: (count) => takeTokens(bucket, rate, now(), count) === 0 }
}
