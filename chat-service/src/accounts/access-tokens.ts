import { type Failure, failure } from '@parley/proto/errors'
import { isId } from '@parley/proto/ids'
import { limits } from '@parley/proto/limits'
import {
  accessTokenAlgorithm,
  accessTokenAudience,
  accessTokenIssuer,
  accessTokenToleranceSeconds,
  accessTokenType,
} from '@parley/proto/tokens'
import { errors, jwtVerify, SignJWT } from 'jose'
import type { SigningKeys } from './signing-keys.ts'

export interface AccessClaim {
  user: string
  session: string
}

export interface VerifiedToken extends AccessClaim {
  ok: true
  /** Milliseconds since 1970. */
  expiresAt: number
}

export interface AccessTokens {
  issue(claim: AccessClaim): Promise<string>
  /**
   * What a token says, from its signature alone: that the session still holds is asked elsewhere. Past its time it is
   * `token_expired`, anything else wrong with it is `unauthenticated`. Rejects when the keys can't be read.
   */
  verify(token: string): Promise<VerifiedToken | Failure>
}

export interface AccessTokensOptions {
  keys: SigningKeys
  lifeSeconds: number
  now: () => number
}

export function createAccessTokens({ keys, lifeSeconds, now }: AccessTokensOptions): AccessTokens {
  return {
    issue(claim) {
      const { kid, privateKey } = keys.signer()
      const seconds = Math.floor(now() / 1000)
      return new SignJWT({ sid: claim.session })
        .setProtectedHeader({ alg: accessTokenAlgorithm, typ: accessTokenType, kid })
        .setIssuer(accessTokenIssuer)
        .setAudience(accessTokenAudience)
        .setSubject(claim.user)
        .setIssuedAt(seconds)
        .setExpirationTime(seconds + lifeSeconds)
        .sign(privateKey)
    },
    async verify(token) {
      if (token.length > limits.tokenLength) return notAToken
      try {
        const { payload } = await jwtVerify(
          token,
          async ({ kid }) => {
            const key = typeof kid === 'string' ? await keys.publicKey(kid) : undefined
            if (key === undefined) throw new errors.JWKSNoMatchingKey()
            return key
          },
          {
            algorithms: [accessTokenAlgorithm],
            typ: accessTokenType,
            issuer: accessTokenIssuer,
            audience: accessTokenAudience,
            clockTolerance: accessTokenToleranceSeconds,
            requiredClaims: ['sub', 'sid', 'iat', 'exp'],
            currentDate: new Date(now()),
          },
        )
        const { sub, sid, exp } = payload
        if (!isId(sub) || !isId(sid) || exp === undefined) return notAToken
        return { ok: true, user: sub, session: sid, expiresAt: exp * 1000 }
      } catch (error) {
        if (error instanceof errors.JWTExpired) {
          return failure('token_expired', 'the access token has expired, refresh it')
        }
        if (error instanceof errors.JOSEError) return notAToken
        throw error
      }
    },
  }
}

const notAToken = failure('unauthenticated', 'the access token is not valid')
