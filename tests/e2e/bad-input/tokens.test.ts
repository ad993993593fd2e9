import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { within } from '../harness/deadline.ts'
import { subprotocols } from '../harness/frames.ts'
import { uuid7 } from '../harness/ids.ts'
import { openSocket } from '../harness/socket-client.ts'
import { setUpNeighbourhood } from './neighbourhood.ts'

const place = setUpNeighbourhood()

describe('tokens that do not hold', () => {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const forgeries: [string, () => string][] = [
    ['no token', () => ''],
    ['no JWT', () => 'abc.def.ghi'],
    [
      '`alg: none`',
      () => {
        const [, claims] = place().mallory.accessToken.split('.')
        return `${part({ alg: 'none', typ: 'JWT' })}.${claims}.`
      },
    ],
    [
      'another user in the claims',
      () => {
        const [header, claims, signature] = place().mallory.accessToken.split('.') as [
          string,
          string,
          string,
        ]
        const changed = { ...JSON.parse(Buffer.from(claims, 'base64url').toString()), sub: uuid7() }
        return `${header}.${part(changed)}.${signature}`
      },
    ],
    [
      'a key of one’s own',
      () => {
        const [header, claims] = place().mallory.accessToken.split('.')
        const { privateKey } = generateKeyPairSync('ed25519')
        const signature = sign(null, Buffer.from(`${header}.${claims}`), privateKey)
        return `${header}.${claims}.${signature.toString('base64url')}`
      },
    ],
    [
      'HMAC with something public as its key',
      () => {
        const [header, claims] = place().mallory.accessToken.split('.') as [string, string]
        const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
        const signed = `${part({ alg: 'HS256', typ: 'JWT', kid })}.${claims}`
        const mac = createHmac('sha256', String(kid)).update(signed).digest('base64url')
        return `${signed}.${mac}`
      },
    ],
    ['a refresh token', () => place().mallory.refreshToken],
  ]
  test.each(forgeries)('[T4] [C4] %s: 401 over REST, 4001 on a socket', async (name, make) => {
    const token = make()
    const answer = await place().world.http.problem('GET', '/v1/users/me', { token })
    expect(answer).toMatchObject({ status: 401, code: 'unauthenticated' })
    for (const protocol of subprotocols) {
      const socket = await openSocket(place().wsUrl, { protocol })
      socket.post({ type: 'hello', token, device: 'forged' })
      const error = await socket.wait('error')
      expect(name === 'no token' ? ['invalid', 'unauthenticated'] : ['unauthenticated']).toContain(
        error.code,
      )
      if (error.code === 'unauthenticated') {
        expect((await within('it closes', 10_000, socket.closed)).code).toBe(4001)
      } else await socket.close()
    }
  })
  test('a call without a token is unauthenticated', async () => {
    expect(await place().world.http.problem('GET', '/v1/conversations')).toMatchObject({
      status: 401,
      code: 'unauthenticated',
    })
  })
})
