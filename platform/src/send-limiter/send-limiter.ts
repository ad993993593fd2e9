import { fullBucket, isFull, type Rate, type TokenBucket, takeTokens } from './token-bucket.ts'

/** How fast one user may send, over all of its connections and requests here. */
export interface SendLimiter {
  /** 0 when the send may pass, else the milliseconds until the next may. */
  take(user: string, now: number): number
  /** Lets go of what users no longer need; to be called every few seconds. */
  sweep(now: number): void
}

export function createSendLimiter(rate: Rate): SendLimiter {
  const buckets = new Map<string, TokenBucket>()
  return {
    take(user, now) {
      let bucket = buckets.get(user)
      if (bucket === undefined) {
        bucket = fullBucket(rate, now)
        buckets.set(user, bucket)
      }
      return takeTokens(bucket, rate, now)
    },
    sweep(now) {
      for (const [user, bucket] of buckets) {
        if (rate.perSecond === 0 || isFull(bucket, rate, now)) buckets.delete(user)
      }
    },
  }
}
