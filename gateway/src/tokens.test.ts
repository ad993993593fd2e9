import { failure } from '@parley/proto/errors'
import { newId } from '@parley/proto/ids'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { expect, test } from 'vitest'
import { createTokenVerifier } from './tokens.ts'

async function signer(kid: string) {
  const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
  const [user, session] = [newId(), newId()]
  return {
    user,
    session,
    jwk: { ...(await exportJWK(publicKey)), kid },
    token: (exp: number, more: { iss?: string; aud?: string; typ?: string } = {}) => {
      const { typ, ...claims } = { iss: 'parley', aud: 'parley', typ: 'at+jwt', ...more }
      return new SignJWT({ sid: session, sub: user, exp, ...claims })
        .setProtectedHeader({ alg: 'EdDSA', typ, kid })
        .sign(privateKey)
    },
  }
}

function keySource() {
  const source = { keys: [] as object[], away: false, text: null as string | null, calls: 0 }
  return Object.assign(source, {
    async signingKeys() {
      source.calls += 1
      if (source.away) return failure('unavailable', 'away')
      return { ok: true as const, jwks: source.text ?? JSON.stringify({ keys: source.keys }) }
    },
  })
}

test('a token says who, which session and until when', async () => {
  const ours = await signer('a')
  const source = Object.assign(keySource(), { keys: [ours.jwk] })
  const verifier = createTokenVerifier(source, () => 1_000_000)
  expect(await verifier.verify(await ours.token(1_060))).toEqual({
    ok: true,
    user: ours.user,
    session: ours.session,
    expiresAt: 1_060_000,
  })
  expect(await verifier.verify(await ours.token(1_000))).toMatchObject({ code: 'token_expired' })
})

test.each([
  ['issuer', { iss: 'another' }],
  ['audience', { aud: 'another' }],
  ['type', { typ: 'JWT' }],
])('a token of another %s is refused, though our key signed it', async (_, more) => {
  const ours = await signer('a')
  const source = Object.assign(keySource(), { keys: [ours.jwk] })
  const verifier = createTokenVerifier(source, () => 1_000_000)
  expect(await verifier.verify(await ours.token(1_060))).toMatchObject({ ok: true })
  expect(await verifier.verify(await ours.token(1_060, more))).toMatchObject({
    ok: false,
    code: 'unauthenticated',
  })
})

test('a key made a moment ago is waited for, not refused', async () => {
  const [old, fresh] = [await signer('old'), await signer('fresh')]
  const source = Object.assign(keySource(), { keys: [old.jwk] })
  const verifier = createTokenVerifier(source, () => Date.now())
  const exp = Math.floor(Date.now() / 1_000) + 60
  await verifier.verify(await old.token(exp))
  source.keys = [old.jwk, fresh.jwk]
  const tokens = await Promise.all(Array.from({ length: 20 }, () => fresh.token(exp)))
  for (const result of await Promise.all(tokens.map((token) => verifier.verify(token)))) {
    expect(result).toMatchObject({ ok: true, user: fresh.user })
  }
  expect(source.calls).toBe(2)
})

test('known keys serve while the directory is away, and for unknown ones it is `unavailable`', async () => {
  const [known, unknown] = [await signer('a'), await signer('b')]
  const source = Object.assign(keySource(), { keys: [known.jwk] })
  let now = 1_000_000
  const verifier = createTokenVerifier(source, () => now)
  await verifier.verify(await known.token(9_999))
  source.away = true
  now += 400_000
  expect(await verifier.verify(await known.token(9_999))).toMatchObject({ ok: true })
  expect(await verifier.verify(await unknown.token(9_999))).toMatchObject({ code: 'unavailable' })
})

test('a key that the directory dropped is let go after a while', async () => {
  const retired = await signer('a')
  const source = Object.assign(keySource(), { keys: [retired.jwk] })
  let now = 1_000_000
  const verifier = createTokenVerifier(source, () => now)
  await verifier.verify(await retired.token(9_999))
  source.keys = []
  now += 300_001
  await verifier.verify(await retired.token(9_999))
  await expect
    .poll(async () => (await verifier.verify(await retired.token(9_999))).ok, { timeout: 3_000 })
    .toBe(false)
})

test('what is no JWK Set is `unavailable`, never a reason to turn a user away', async () => {
  const ours = await signer('a')
  const source = Object.assign(keySource(), { text: '<html>' })
  const verifier = createTokenVerifier(source, () => 1_000_000)
  expect(await verifier.verify(await ours.token(9_999))).toMatchObject({ code: 'unavailable' })
})
