import { randomBytes } from 'node:crypto'
import type { Subprotocol, Welcome } from './frames.ts'
import { type HttpClient, httpClient } from './http-client.ts'
import { uuid7 } from './ids.ts'
import { openSocket, type SocketClient } from './socket-client.ts'
import type { Stack } from './stack.ts'

export interface Tokens {
  accessToken: string
  refreshToken: string
  expiresIn: number
}

export interface SignedIn extends Tokens {
  user: { id: string; username: string; displayName: string }
}

/** A registered user. */
export interface Person extends Tokens {
  id: string
  username: string
  password: string
}

export interface Connected extends SocketClient {
  readonly welcome: Welcome
}

export interface ConversationInfo {
  id: string
  kind: string
  title?: string
  history: string
  head: number
  from: number
  role: string
  memberCount: number
  members: { user: string; role: string }[]
}

export const password = 'correct horse battery staple'

/** What tests do most, on one stack, at its present addresses. */
export interface World {
  readonly http: HttpClient
  register(name?: string): Promise<Person>
  registerMany(count: number): Promise<Person[]>
  connect(
    person: Person,
    protocol?: Subprotocol,
    fields?: Record<string, unknown>,
  ): Promise<Connected>
  group(
    owner: Person,
    members: readonly Person[],
    fields?: Record<string, unknown>,
  ): Promise<string>
  direct(a: Person, b: Person): Promise<string>
}

export function worldOf(stack: Stack): World {
  const http = httpClient(() => stack.httpUrl)
  let sockets = 0
  const register = async (name = 'user'): Promise<Person> => {
    const username = `${name}-${randomBytes(6).toString('hex')}`
    const signedIn = await http.call<SignedIn>('POST', '/v1/auth/register', {
      body: { username, password },
      expect: 201,
    })
    const { user, ...tokens } = signedIn
    return { id: user.id, username, password, ...tokens }
  }
  const create = async (owner: Person, body: Record<string, unknown>) => {
    const { conversation } = await http.call<{ conversation: ConversationInfo }>(
      'POST',
      '/v1/conversations',
      { token: owner.accessToken, body, expect: [200, 201] },
    )
    return conversation.id
  }
  return {
    http,
    register,
    async registerMany(count) {
      const people: Person[] = []
      // Few at once: hashing passwords is bounded on purpose.
      while (people.length < count) {
        const wanted = Math.min(4, count - people.length)
        people.push(...(await Promise.all(Array.from({ length: wanted }, () => register()))))
      }
      return people
    },
    async connect(person, protocol = 'parley.v1.json', fields = {}) {
      const url = stack.wsUrls[sockets++ % stack.wsUrls.length] as string
      const socket = await openSocket(url, { protocol })
      const welcome = await socket.hello(person.accessToken, { device: uuid7(), ...fields })
      return Object.assign(socket, { welcome })
    },
    group: (owner, members, fields = {}) =>
      create(owner, { id: uuid7(), kind: 'group', members: members.map((m) => m.id), ...fields }),
    direct: (a, b) => create(a, { kind: 'direct', members: [b.id] }),
  }
}
