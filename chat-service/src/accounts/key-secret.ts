import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

/** The keys made from the operator's one secret; each purpose has its own (HKDF-SHA-256, RFC 5869). */
export interface DerivedKeys {
  /** AES-256-GCM, for the private halves of signing keys. */
  signingKeys: Buffer
  /** HMAC-SHA-256, for refresh tokens. */
  refreshTokens: Buffer
}

export function deriveKeys(keySecret: string): DerivedKeys {
  const derive = (purpose: string) =>
    Buffer.from(hkdfSync('sha256', keySecret, 'parley', purpose, 32))
  return { signingKeys: derive('signing-keys.v1'), refreshTokens: derive('refresh-tokens.v1') }
}

const sealVersion = 1
const nonceBytes = 12
const tagBytes = 16

/** Version, nonce, tag, ciphertext. `name` is bound in, so that a sealed value can't stand under another name. */
export function seal(key: Buffer, name: string, plain: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(name))
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([Buffer.of(sealVersion), nonce, cipher.getAuthTag(), sealed])
}

/** Undefined when the key is another, or the bytes are not what was sealed under this name. */
export function unseal(key: Buffer, name: string, sealed: Uint8Array): Buffer | undefined {
  if (sealed.length < 1 + nonceBytes + tagBytes || sealed[0] !== sealVersion) return undefined
  const nonce = sealed.subarray(1, 1 + nonceBytes)
  const tag = sealed.subarray(1 + nonceBytes, 1 + nonceBytes + tagBytes)
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  decipher.setAAD(Buffer.from(name)).setAuthTag(tag)
  try {
    const body = sealed.subarray(1 + nonceBytes + tagBytes)
    return Buffer.concat([decipher.update(body), decipher.final()])
  } catch {
    return undefined
  }
}
