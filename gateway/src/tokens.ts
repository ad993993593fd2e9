import { type Failure, failure } from '@parley/proto/errors'
import { isId } from '@parley/proto/ids'
import {
  accessTokenAlgorithm,
  accessTokenAudience,
  accessTokenIssuer,
  accessTokenToleranceSeconds,
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
import type { Identity } from './session.ts'

/** Verifies access tokens here, with keys that the directory gave. */
export interface TokenVerifier {
  /** `token_expired`, `unauthenticated`, or `unavailable` when its key can't be had now. */
  verify(token: string): Promise<({ ok: true } & Identity) | Failure>
}

/** A token under an unknown key makes the keys be fetched again, at most once in this time. */
const refetchMs = 3_000

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
    const answer = await directory.signingKeys()
    if (!answer.ok) throw new KeysUnavailable()
    const { keys: jwks } = JSON.parse(answer.jwks) as { keys: JWK[] }
    const fetched = new Map<string, CryptoKey>()
    for (const jwk of jwks) {
      if (jwk.kid === undefined || jwk.kty !== 'OKP' || jwk.crv !== 'Ed25519') continue
      fetched.set(jwk.kid, (await importJWK(jwk, accessTokenAlgorithm)) as CryptoKey)
    }
    keys = fetched
    fetchedAt = now()
  }

  async function keyOf({ kid }: CompactJWSHeaderParameters): Promise<CryptoKey> {
    if (kid === undefined) throw new UnknownKey()
    if (!keys.has(kid) && now() - fetchedAt >= refetchMs) {
      fetching ??= fetchKeys().finally(() => {
        fetching = null
      })
      await fetching
    }
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
          clockTolerance: accessTokenToleranceSeconds,
          currentDate: new Date(now()),
        })
        const { sub, sid, exp } = payload
        if (!isId(sub) || !isId(sid) || exp === undefined) {
          return failure('unauthenticated', 'the token does not name a user and a session')
        }
        const expiresAt = (exp + accessTokenToleranceSeconds) * 1_000
        return { ok: true, user: sub, session: sid, expiresAt }
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
