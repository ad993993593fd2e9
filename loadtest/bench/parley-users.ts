/** Accounts and conversations for a measurement, over REST. */

export interface User {
  id: string
  token: string
}

const atOnce = 4

async function post<T>(httpUrl: string, path: string, body: unknown, token?: string): Promise<T> {
  const headers: Record<string, string> = { 'content-type': 'application/json' }
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  const answer = await fetch(httpUrl + path, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  })
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as T
}

export async function registerUsers(httpUrl: string, count: number): Promise<User[]> {
  const users: User[] = []
  const run = Date.now().toString(36)
  while (users.length < count) {
    const batch = Math.min(atOnce, count - users.length)
    const made = Array.from({ length: batch }, async (_, i) => {
      const answer = await post<{ user: { id: string }; accessToken: string }>(
        httpUrl,
        '/v1/auth/register',
        { username: `bench-${run}-${users.length + i}`, password: 'correct horse battery' },
      )
      return { id: answer.user.id, token: answer.accessToken }
    })
    users.push(...(await Promise.all(made)))
  }
  return users
}

export async function makeGroup(httpUrl: string, owner: User, members: User[]): Promise<string> {
  const { conversation } = await post<{ conversation: { id: string } }>(
    httpUrl,
    '/v1/conversations',
    { kind: 'group', members: members.map((m) => m.id) },
    owner.token,
  )
  return conversation.id
}
