import type { MikroORM, SqlEntityManager } from '@mikro-orm/postgresql'
import { StartError } from '@parley/platform/process/start-error'
import { accessTokenAlgorithm } from '@parley/proto/tokens'
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWK_OKP_Private,
  type JWK_OKP_Public,
} from 'jose'
import { SigningKey, type SigningKeyRow } from './entities.ts'
import { planRotation, type RotationRule, signerAt } from './key-rotation.ts'
import { seal, unseal } from './key-secret.ts'

export interface SigningKeysOptions {
  orm: MikroORM
  /** AES-256-GCM key that seals the private halves. */
  sealKey: Buffer
  rule: RotationRule
  now: () => number
}

/**
 * The Ed25519 keys of access tokens. They are rows, so that all instances sign and verify alike; an advisory lock
 * lets one instance at a time make or retire keys.
 */
export interface SigningKeys {
  /** The key that signs now. */
  signer(): { kid: string; privateKey: CryptoKey }
  /** The key of this id, read anew (at most every 5 s) when it is unknown: another instance may have just made it. */
  publicKey(kid: string): Promise<CryptoKey | undefined>
  /** Every key under which a token may be valid, and the next one. */
  jwks(): string
  /** Reads the keys, makes the next and retires old ones where due. To be called every minute or so. */
  refresh(): Promise<void>
  /** Makes the next key now; it signs after `aheadMs`. */
  rotate(aheadMs: number): Promise<void>
}

interface HeldKey {
  kid: string
  signsFrom: number
  publicJwk: JWK_OKP_Public
  publicKey: CryptoKey
  privateKey: CryptoKey
}

const rereadMs = 5_000

/** Rejects with `StartError` when the keys in the database were sealed under another secret. */
export async function openSigningKeys(options: SigningKeysOptions): Promise<SigningKeys> {
  const { orm, now } = options
  let keys: HeldKey[] = []
  let readAt = 0

  async function read(em: SqlEntityManager): Promise<void> {
    const rows = await em.find(SigningKey, { retiredAt: null }, { orderBy: { signsFrom: 'asc' } })
    const known = new Map(keys.map((key) => [key.kid, key]))
    keys = await Promise.all(
      rows.map(async (row) => known.get(row.kid) ?? (await hold(row, options.sealKey))),
    )
    readAt = now()
  }

  /* A key is added by `addAt` in the same transaction that found it due, so two instances make one. */
  async function change(addAt: (held: HeldKey[]) => number | undefined): Promise<void> {
    await orm.em.fork().transactional(async (em) => {
      await em.execute(`select pg_advisory_xact_lock(hashtext('parley.signing_keys'))`)
      await read(em)
      const signsFrom = addAt(keys)
      if (signsFrom !== undefined) {
        await em.insert(SigningKey, await makeKey(options.sealKey, signsFrom, now()))
      }
      const { retire } = planRotation(keys, now(), options.rule)
      await em.nativeUpdate(
        SigningKey,
        { kid: { $in: retire } },
        { retiredAt: new Date(now()), privateKey: Buffer.alloc(0) },
      )
    })
    await read(orm.em.fork())
  }

  async function refresh(): Promise<void> {
    await read(orm.em.fork())
    const plan = planRotation(keys, now(), options.rule)
    if (plan.nextSignsFrom === undefined && plan.retire.length === 0) return
    await change((held) => planRotation(held, now(), options.rule).nextSignsFrom)
  }

  await refresh()

  return {
    signer() {
      const signer = signerAt(keys, now())
      if (signer === undefined) throw new Error('no signing key has begun to sign')
      return signer
    },
    async publicKey(kid) {
      const find = () => keys.find((key) => key.kid === kid)?.publicKey
      const known = find()
      if (known !== undefined || now() - readAt < rereadMs) return known
      await read(orm.em.fork())
      return find()
    },
    jwks: () =>
      JSON.stringify({
        keys: keys.map((key) => ({
          ...key.publicJwk,
          kid: key.kid,
          alg: accessTokenAlgorithm,
          use: 'sig',
        })),
      }),
    refresh,
    rotate: (aheadMs) =>
      change((held) => Math.max(now() + aheadMs, ...held.map((key) => key.signsFrom + 1))),
  }
}

async function makeKey(sealKey: Buffer, signsFrom: number, nowMs: number) {
  const pair = await generateKeyPair(accessTokenAlgorithm, { crv: 'Ed25519', extractable: true })
  const { kty, crv, x, d } = (await exportJWK(pair.privateKey)) as JWK_OKP_Private & { kty: 'OKP' }
  const publicJwk: JWK_OKP_Public = { kty, crv, x }
  const kid = await calculateJwkThumbprint(publicJwk)
  return {
    kid,
    publicJwk,
    privateKey: seal(sealKey, kid, Buffer.from(d, 'base64url')),
    createdAt: new Date(nowMs),
    signsFrom: new Date(signsFrom),
    retiredAt: null,
  }
}

async function hold(row: SigningKeyRow, sealKey: Buffer): Promise<HeldKey> {
  const secret = unseal(sealKey, row.kid, row.privateKey)
  if (secret === undefined) {
    throw new StartError(
      'PARLEY_KEY_SECRET does not open the signing keys in the database: set the secret they were made under',
    )
  }
  const privateJwk = { ...row.publicJwk, d: secret.toString('base64url') }
  return {
    kid: row.kid,
    signsFrom: row.signsFrom.getTime(),
    publicJwk: row.publicJwk,
    publicKey: (await importJWK(row.publicJwk, accessTokenAlgorithm)) as CryptoKey,
    privateKey: (await importJWK(privateJwk, accessTokenAlgorithm)) as CryptoKey,
  }
}
