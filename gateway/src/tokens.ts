import { type Failure, failure } from '@parley/proto/errors'
import { isId } from '@parley/proto/ids'
import {
  accessTokenAlgorithm,
  accessTokenAudience,
  accessTokenIssuer,
  accessTokenType,
} from '@parley/proto/tokens'
import {
  type CompactJWSHeaderParameters,
  type CryptoKey,
  errors,
  importJWK,
  type JWK,
  jwtVerify,
} from 'jose'
import type { Directory } from './directory.ts'
import type { Identity } from './session-ports.ts'

/** Verifies access tokens here, with keys that the directory gave. */
export interface TokenVerifier {
  /** `token_expired`, `unauthenticated`, or `unavailable` when its key can't be had now. */
  verify(token: string): Promise<({ ok: true } & Identity) | Failure>
}

/** A token under an unknown key waits for the keys to be fetched anew, which happens at most once in this time. */
const refetchMs = 1_000
/** Keys are fetched anew after this even if all are known, so that a retired one is let go. */
const keysLastMs = 300_000

class KeysUnavailable extends Error {}
class UnknownKey extends Error {}

export function createTokenVerifier(
  directory: Pick<Directory, 'signingKeys'>,
  now: () => number,
): TokenVerifier {
  let keys = new Map<string, CryptoKey>()
  let fetchedAt = Number.NEGATIVE_INFINITY
  let fetching: Promise<void> | null = null

  async function fetchKeys(): Promise<void> {
    const waitMs = fetchedAt + refetchMs - now()
    if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, Math.min(waitMs, refetchMs)))
    const answer = await directory.signingKeys()
    if (!answer.ok) throw new KeysUnavailable(answer.message)
    keys = await importKeys(answer.jwks)
    fetchedAt = now()
  }

  function refetch(): Promise<void> {
    fetching ??= fetchKeys().finally(() => {
      fetching = null
    })
    return fetching
  }

  async function keyOf({ kid }: CompactJWSHeaderParameters): Promise<CryptoKey> {
    if (kid === undefined) throw new UnknownKey()
    if (!keys.has(kid)) await refetch()
    // Known keys serve on while the directory is away.
    else if (now() - fetchedAt > keysLastMs) refetch().catch(() => {})
    const key = keys.get(kid)
    if (key === undefined) throw new UnknownKey()
    return key
  }

  return {
    async verify(token) {
      try {
        const { payload } = await jwtVerify(token, keyOf, {
          algorithms: [accessTokenAlgorithm],
          typ: accessTokenType,
          issuer: accessTokenIssuer,
          audience: accessTokenAudience,
          requiredClaims: ['sub', 'sid', 'exp'],
          // No tolerance: what is told of a token's end holds for the open socket too ([G11]).
          currentDate: new Date(now()),
        })
        const { sub, sid, exp } = payload
        if (!isId(sub) || !isId(sid) || exp === undefined) {
          return failure('unauthenticated', 'the token does not name a user and a session')
        }
        return { ok: true, user: sub, session: sid, expiresAt: exp * 1_000 }
      } catch (error) {
        if (error instanceof errors.JWTExpired) {
          return failure('token_expired', 'the access token has expired')
        }
        if (error instanceof KeysUnavailable) {
          return failure('unavailable', 'tokens can not be verified now', 1_000)
        }
        return failure('unauthenticated', 'the access token is not valid')
      }
    },
  }
}

/** Throws KeysUnavailable when it is no JWK Set; keys of other kinds are left out. */
async function importKeys(jwks: string): Promise<Map<string, CryptoKey>> {
  try {
    const { keys } = JSON.parse(jwks) as { keys: JWK[] }
    const ours = keys.filter(({ kty, crv }) => kty === 'OKP' && crv === 'Ed25519')
    const imported = ours.map(
      async (jwk) =>
        [String(jwk.kid), (await importJWK(jwk, accessTokenAlgorithm)) as CryptoKey] as const,
    )
    return new Map(await Promise.all(imported))
  } catch (error) {
    throw new KeysUnavailable('the directory gave no JWK Set', { cause: error })
  }
}
