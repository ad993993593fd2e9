import { createMemoryBus } from '@parley/platform/memory/bus'
import type { TestDatabase } from '@parley/platform/postgres/test-database'
import { newId } from '@parley/proto/ids'
import { accessTokenAudience, accessTokenIssuer, accessTokenType } from '@parley/proto/tokens'
import {
  base64url,
  createLocalJWKSet,
  decodeProtectedHeader,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  jwtVerify,
  SignJWT,
} from 'jose'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTables, testAccounts, testPassword } from '../http/test-world.ts'
import { type Accounts, type AccountsConfig, createAccounts, type SignedIn } from './accounts.ts'
import { deriveKeys, unseal } from './key-secret.ts'

let tables: TestDatabase
beforeAll(async () => {
  tables = await openTables()
}, 60_000)
afterAll(() => tables?.close())
beforeEach(async () => {
  await tables.db.transaction((sql) => sql.query('delete from signing_keys'))
})

const dayMs = 24 * 3_600_000
const bus = createMemoryBus()
let clockMs = Date.now()
let names = 0

function instance(config: Partial<AccountsConfig> = {}): Promise<Accounts> {
  const parts = { database: tables.db, bus, now: () => clockMs }
  return createAccounts({ ...testAccounts, ...config }, parts)
}

async function someone(accounts: Accounts): Promise<SignedIn> {
  const result = await accounts.register({ username: `keyed-${++names}`, password: testPassword })
  if (!result.ok) throw new Error(result.message)
  return result
}

async function kids(accounts: Accounts): Promise<string[]> {
  const { keys } = JSON.parse(await accounts.jwks()) as JSONWebKeySet
  return keys.map((key) => String(key.kid))
}

const kidOf = (token: string) => String(decodeProtectedHeader(token).kid)

test('instances that start at once on an empty database make one key', async () => {
  const instances = await Promise.all(Array.from({ length: 6 }, () => instance()))
  const sets = await Promise.all(instances.map(kids))
  expect(new Set(sets.flat()).size).toBe(1)
  const { accessToken } = await someone(instances[0] as Accounts)
  for (const accounts of instances) {
    expect(await accounts.verifyAccessToken(accessToken)).toMatchObject({ ok: true })
  }
})

test('[T1] the JWKS is what others verify with: Ed25519, and nothing private', async () => {
  const accounts = await instance()
  const set = JSON.parse(await accounts.jwks()) as JSONWebKeySet
  expect(set.keys).toHaveLength(1)
  expect(Object.keys(set.keys[0] ?? {}).toSorted()).toEqual(
    ['alg', 'crv', 'kid', 'kty', 'use', 'x'].toSorted(),
  )
  const { accessToken, user } = await someone(accounts)
  const { payload, protectedHeader } = await jwtVerify(accessToken, createLocalJWKSet(set), {
    currentDate: new Date(clockMs),
  })
  expect(protectedHeader).toMatchObject({ alg: 'EdDSA', typ: 'at+jwt' })
  expect(payload).toMatchObject({ iss: 'parley', aud: 'parley', sub: user.id })
})

test('private halves are stored sealed', async () => {
  await instance()
  const [row] = await tables.db.snapshot((sql) =>
    sql.query<{ kid: string; private_key: Buffer; public_jwk: { x: string } }>(
      'select kid, private_key, public_jwk from signing_keys',
    ),
  )
  if (row === undefined) throw new Error('no key')
  const opened = unseal(deriveKeys(testAccounts.keySecret).signingKeys, row.kid, row.private_key)
  if (opened === undefined) throw new Error('the key secret does not open it')
  expect(row.private_key.includes(opened)).toBe(false)
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: row.public_jwk.x, d: base64url.encode(opened) }
  await expect(importJWK(jwk, 'EdDSA')).resolves.toMatchObject({ type: 'private' })
})

test('another key secret stops the start in one sentence, and changes nothing', async () => {
  const accounts = await instance()
  await expect(instance({ keySecret: 'some other secret, as long as it' })).rejects.toMatchObject({
    name: 'StartError',
    message: expect.stringMatching(/^PARLEY_KEY_SECRET [^\n]+$/),
  })
  const before = await kids(accounts)
  expect(await kids(await instance())).toEqual(before)
})

test('[T3] the next key is public before it signs, and the last stays while its tokens live', async () => {
  const first = await instance()
  const before = await someone(first)
  clockMs += 30 * dayMs - 3_600_000
  const ahead = await instance()
  const [oldKid, newKid] = await kids(ahead)
  expect(kidOf(before.accessToken)).toBe(oldKid)
  expect(newKid).toBeDefined()
  expect(kidOf((await someone(ahead)).accessToken)).toBe(oldKid)

  clockMs += 3_600_000 - 1_000
  const last = await someone(ahead)
  expect(kidOf(last.accessToken)).toBe(oldKid)
  clockMs += 1_000
  expect(kidOf((await someone(ahead)).accessToken)).toBe(newKid)
  clockMs += 898_000
  const during = await instance()
  expect(await kids(during)).toEqual([oldKid, newKid])
  expect(await during.verifyAccessToken(last.accessToken)).toMatchObject({ ok: true })
  clockMs += 310_000
  expect(await kids(await instance())).toEqual([newKid])
  const [row] = await tables.db.snapshot((sql) =>
    sql.query<{ private_key: Buffer; retired_at: string | null }>(
      'select private_key, retired_at from signing_keys where kid = $1',
      [oldKid],
    ),
  )
  expect(row?.private_key).toHaveLength(0)
  expect(row?.retired_at).toEqual(expect.any(String))
})

test('keys rotate when asked: at once, and instances that have not read the new one do', async () => {
  const rotating = await instance()
  const other = await instance()
  const before = await someone(rotating)
  await rotating.rotateKeys(0)
  clockMs += 1
  const after = await someone(rotating)
  expect(kidOf(after.accessToken)).not.toBe(kidOf(before.accessToken))
  expect(await kids(rotating)).toContain(kidOf(before.accessToken))
  clockMs += 5_000
  expect(await other.verifyAccessToken(after.accessToken)).toMatchObject({ ok: true })
  expect(await rotating.verifyAccessToken(before.accessToken)).toMatchObject({ ok: true })
})

test('[T4] an access token past its time is token_expired', async () => {
  const accounts = await instance({ accessTokenSeconds: 2 })
  const me = await someone(accounts)
  expect(me.expiresIn).toBe(2)
  clockMs += 6_000
  expect(await accounts.verifyAccessToken(me.accessToken)).toMatchObject({ ok: true })
  clockMs += 2_000
  expect(await accounts.verifyAccessToken(me.accessToken)).toMatchObject({
    ok: false,
    code: 'token_expired',
  })
})

test('[T2] [T4] forged tokens are unauthenticated, whatever they say', async () => {
  const accounts = await instance()
  const me = await someone(accounts)
  const verified = await accounts.verifyAccessToken(me.accessToken)
  if (!verified.ok) throw new Error(verified.message)
  const [key] = (JSON.parse(await accounts.jwks()) as JSONWebKeySet).keys
  if (key === undefined) throw new Error('no key')
  const { privateKey: foreign } = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
  const ours = await signingKey()
  const header = { alg: 'EdDSA', typ: accessTokenType, kid: String(key.kid) }
  const claims = { sub: me.user.id, sid: verified.session }
  const sign = (
    by: Parameters<SignJWT['sign']>[0],
    head: object = header,
    payload: Record<string, unknown> = claims,
    more: (jwt: SignJWT) => SignJWT = (jwt) => jwt,
  ) =>
    more(
      new SignJWT(payload)
        .setProtectedHeader({ ...header, ...head })
        .setIssuer(accessTokenIssuer)
        .setAudience(accessTokenAudience)
        .setIssuedAt(Math.floor(clockMs / 1000))
        .setExpirationTime(Math.floor(clockMs / 1000) + 900),
    ).sign(by)
  const [head, payload, signature] = me.accessToken.split('.') as [string, string, string]
  const encode = (value: unknown) => base64url.encode(JSON.stringify(value))
  const publicBytes = new TextEncoder().encode(String(key.x).padEnd(64, '='))

  const good = await sign(ours)
  expect(await accounts.verifyAccessToken(good)).toMatchObject({ ok: true })
  const forged: Record<string, string> = {
    'another key under our kid': await sign(foreign),
    'an unknown kid': await sign(ours, { kid: 'nobody' }),
    'no kid': await sign(ours, { kid: undefined }),
    'alg none': `${encode({ ...header, alg: 'none' })}.${payload}.`,
    'alg none, our signature': `${encode({ ...header, alg: 'none' })}.${payload}.${signature}`,
    'HS256 under the public key': await sign(publicBytes, { alg: 'HS256' }),
    'typ JWT': await sign(ours, { typ: 'JWT' }),
    'no typ': await sign(ours, { typ: undefined }),
    'another issuer': await sign(ours, {}, claims, (jwt) => jwt.setIssuer('other')),
    'another audience': await sign(ours, {}, claims, (jwt) => jwt.setAudience('other')),
    'no session': await sign(ours, {}, { sub: me.user.id }),
    'a session that is none': await sign(ours, {}, { ...claims, sid: newId() }),
    'a subject that is no id': await sign(ours, {}, { ...claims, sub: 'ada' }),
    'a changed payload': `${head}.${encode({ ...claims, sub: newId() })}.${signature}`,
    'a cut signature': me.accessToken.slice(0, -2),
    'not a token': 'token',
    'an empty one': '',
    'an expired one by another key': await sign(foreign, {}, claims, (jwt) =>
      jwt.setExpirationTime(1),
    ),
    'too long': `${good}${'A'.repeat(4_096)}`,
  }
  for (const [name, token] of Object.entries(forged)) {
    expect(await accounts.verifyAccessToken(token), name).toMatchObject({
      ok: false,
      code: 'unauthenticated',
    })
  }

  async function signingKey() {
    const [row] = await tables.db.snapshot((sql) =>
      sql.query<{ private_key: Buffer }>('select private_key from signing_keys where kid = $1', [
        key?.kid,
      ]),
    )
    const sealKey = deriveKeys(testAccounts.keySecret).signingKeys
    const d = unseal(sealKey, String(key?.kid), row?.private_key ?? Buffer.of())
    return importJWK({ ...key, d: base64url.encode(d ?? Buffer.of()) }, 'EdDSA')
  }
})
