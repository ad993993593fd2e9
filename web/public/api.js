import { request } from './http.js'
import { signedOut } from './session.js'

/** The calls of the HTTP API that this page makes, as the one who is signed in. */
export function createApi({ session, onDate, onSignedOut }) {
  async function call(method, path, options = {}) {
    let holding = await session.token()
    let answer = holding
    if (holding.ok) {
      answer = await request(method, path, { ...options, token: holding.token, onDate })
      if (answer.status === 401) {
        holding = await session.refresh(holding.token)
        answer = holding.ok
          ? await request(method, path, { ...options, token: holding.token, onDate })
          : holding
        if (answer.status === 401) answer = signedOut
      }
    }
    if (answer.code === signedOut.code) onSignedOut()
    return answer
  }

  const get = (path, query = {}, signal = undefined) => {
    const given = Object.entries(query).filter(([, value]) => value !== undefined)
    return call('GET', `${path}?${new URLSearchParams(given)}`, { signal })
  }
  const of = (conversation) => `/v1/conversations/${conversation}`

  return {
    gateway: () => get('/v1/gateway'),
    conversations: (limit, cursor) => get('/v1/conversations', { limit, cursor }),
    /** One conversation and up to `limit` of its members. */
    conversation: (id, limit) => get(of(id), { limit }),
    createConversation: (body) => call('POST', '/v1/conversations', { body }),
    events: (id, after, limit) => get(`${of(id)}/events`, { after, limit }),
    user: (id) => get(`/v1/users/${id}`),
    findUsers: (query, limit, signal) => get('/v1/users', { query, limit }, signal),
    logout: () => call('POST', '/v1/auth/logout'),
  }
}
