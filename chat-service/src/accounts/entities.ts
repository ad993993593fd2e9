import { defineEntity, type InferEntity, p } from '@mikro-orm/core'
import type { JWK_OKP_Public } from 'jose'

/** The tables of accounts. storage-worker's migrations make them; only this folder writes them. */

export const User = defineEntity({
  name: 'User',
  tableName: 'users',
  properties: {
    id: p.uuid().primary(),
    username: p.text().unique(),
    displayName: p.text(),
    createdAt: p.datetime(),
  },
})

export const Credential = defineEntity({
  name: 'Credential',
  tableName: 'credentials',
  properties: {
    userId: p.uuid().primary(),
    passwordHash: p.text(),
    changedAt: p.datetime(),
  },
})

/** One a login. `refreshNumber` counts the refresh tokens given out; the latest is the one not yet used. */
export const Session = defineEntity({
  name: 'Session',
  tableName: 'sessions',
  properties: {
    id: p.uuid().primary(),
    userId: p.uuid().index(),
    device: p.text().nullable(),
    createdAt: p.datetime(),
    usedAt: p.datetime(),
    expiresAt: p.datetime(),
    refreshNumber: p.integer(),
    rotatedAt: p.datetime(),
    revokedAt: p.datetime().nullable(),
  },
})

/** `privateKey` is sealed under the key secret, and empty once the key is retired. */
export const SigningKey = defineEntity({
  name: 'SigningKey',
  tableName: 'signing_keys',
  properties: {
    kid: p.text().primary(),
    publicJwk: p.json<JWK_OKP_Public>(),
    privateKey: p.blob(),
    createdAt: p.datetime(),
    signsFrom: p.datetime(),
    retiredAt: p.datetime().nullable(),
  },
})

export type UserRow = InferEntity<typeof User>
export type SessionRow = InferEntity<typeof Session>
export type SigningKeyRow = InferEntity<typeof SigningKey>

/** For `connectDatabase`. */
export const accountEntities = [User, Credential, Session, SigningKey]
