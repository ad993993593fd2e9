/** A token bucket as a value: `tokens` at the time `at`, in milliseconds of any clock that does not run back far. */
export interface TokenBucket {
  tokens: number
  at: number
}

export interface Rate {
  /** Tokens that come back in a second; 0 lifts the limit. */
  perSecond: number
  /** Tokens of a full bucket. */
  burst: number
}

export function fullBucket(rate: Rate, now: number): TokenBucket {
  return { tokens: rate.burst, at: now }
}

/** Takes `count` tokens and returns 0, or takes none and returns the milliseconds until there are so many. */
export function takeTokens(bucket: TokenBucket, rate: Rate, now: number, count = 1): number {
  if (rate.perSecond === 0) return 0
  refill(bucket, rate, now)
  if (bucket.tokens >= count) {
    bucket.tokens -= count
    return 0
  }
  return Math.ceil(((count - bucket.tokens) / rate.perSecond) * 1_000)
}

export function isFull(bucket: TokenBucket, rate: Rate, now: number): boolean {
  refill(bucket, rate, now)
  return bucket.tokens >= rate.burst
}

function refill(bucket: TokenBucket, rate: Rate, now: number): void {
  const passedMs = Math.max(0, now - bucket.at)
  bucket.tokens = Math.min(rate.burst, bucket.tokens + (passedMs / 1_000) * rate.perSecond)
  bucket.at = now
}
