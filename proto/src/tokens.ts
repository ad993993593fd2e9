/**
 * Access tokens: JWTs (RFC 9068) signed with Ed25519. chat-service makes them; whoever has the JWKS verifies them,
 * with these values and no others. Claims: `sub` the user's id, `sid` the session's, `iat`, `exp`.
 */
export const accessTokenIssuer = 'parley'
export const accessTokenAudience = 'parley'
/** The header's `typ`, so that no other token under the same keys passes for one (RFC 9068 §2.1). */
export const accessTokenType = 'at+jwt'
/** The only algorithm that a verifier accepts. */
export const accessTokenAlgorithm = 'EdDSA'
/** How far clocks of signer and verifier may differ. */
export const accessTokenToleranceSeconds = 5
