/** When keys are made and let go: pure, times in milliseconds since 1970. */

export interface KeyTimes {
  kid: string
  signsFrom: number
}

export interface RotationRule {
  /** How long a key signs. */
  rotationMs: number
  /** How long before its first use a key stands in the JWKS, so that every verifier has fetched it by then. */
  publishAheadMs: number
  /** How long after its last use a key stays there: the longest life of what it signed, and some slack. */
  keepMs: number
}

export interface RotationPlan {
  /** When the key to be made now begins to sign; absent when none is due. */
  nextSignsFrom?: number
  /** Keys under which no token can be valid any more. */
  retire: string[]
}

/** `keys` are those not retired, in any order. */
export function planRotation(
  keys: readonly KeyTimes[],
  nowMs: number,
  rule: RotationRule,
): RotationPlan {
  const sorted = keys.toSorted((a, b) => a.signsFrom - b.signsFrom)
  const retire = sorted
    .filter((_, i) => {
      const successor = sorted[i + 1]
      return successor !== undefined && successor.signsFrom + rule.keepMs <= nowMs
    })
    .map((key) => key.kid)
  const newest = sorted.at(-1)
  if (newest === undefined) return { nextSignsFrom: nowMs, retire }
  const due = newest.signsFrom + rule.rotationMs
  if (nowMs < due - rule.publishAheadMs) return { retire }
  return { nextSignsFrom: Math.max(due, nowMs + rule.publishAheadMs), retire }
}

/** The key that signs at `nowMs`: of those that have begun, the latest. */
export function signerAt<K extends KeyTimes>(keys: readonly K[], nowMs: number): K | undefined {
  let signer: K | undefined
  for (const key of keys) {
    if (key.signsFrom <= nowMs && (signer === undefined || key.signsFrom > signer.signsFrom)) {
      signer = key
    }
  }
  return signer
}
