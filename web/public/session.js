import { failure, request } from './http.js'

/**
 * Who is signed in here: the tokens, kept in the browser's storage so that all tabs share them. They are read anew for
 * each use, since another tab may have renewed them.
 */

const key = 'parley.session'
/** Tokens are renewed after this part of their life. */
const renewAfter = 0.8

export const signedOut = failure('signed_out', 'You are signed out.', { status: 401 })

export function createSession({ storage, onDate }) {
  let renewing = null

  function read() {
    try {
      return JSON.parse(storage.getItem(key) ?? 'null')
    } catch {
      return null
    }
  }

  function keep({ user, accessToken, refreshToken, expiresIn }) {
    const renewAt = Date.now() + expiresIn * 1000 * renewAfter
    storage.setItem(key, JSON.stringify({ user, accessToken, refreshToken, renewAt }))
  }

  async function begin(path, body) {
    const answer = await request('POST', path, { body, onDate })
    if (answer.ok) keep(answer.body)
    return answer
  }

  /** @param {string} stale the access token to be replaced */
  async function renew(stale) {
    const held = read()
    if (held === null) return signedOut
    const renewedElsewhere = held.accessToken !== stale && Date.now() < held.renewAt
    if (renewedElsewhere) return { ok: true, token: held.accessToken }
    const body = { refreshToken: held.refreshToken }
    const answer = await request('POST', '/v1/auth/refresh', { body, onDate })
    if (answer.ok) {
      keep(answer.body)
      return { ok: true, token: answer.body.accessToken }
    }
    if (answer.status !== 400 && answer.status !== 401) return answer
    if (read()?.refreshToken === held.refreshToken) storage.removeItem(key)
    return signedOut
  }

  /** One renewal at a time, in this tab and, where the browser has locks, in all. */
  function refresh(stale) {
    const work = () => renew(stale)
    renewing ??= (
      navigator.locks === undefined ? work() : navigator.locks.request(key, work)
    ).finally(() => {
      renewing = null
    })
    return renewing
  }

  return {
    key,
    /** `{id, username, displayName}`, or null. */
    user: () => read()?.user ?? null,
    /** Milliseconds until the tokens are due to be renewed. */
    dueInMs: () => Math.max(0, (read()?.renewAt ?? 0) - Date.now()),
    signIn: (username, password) => begin('/v1/auth/login', { username, password }),
    signUp: (details) => begin('/v1/auth/register', details),
    forget: () => storage.removeItem(key),
    refresh,
    /** An access token that still has some life: `{ok: true, token}`, or a failure, `signed_out` among them. */
    async token() {
      const held = read()
      if (held === null) return signedOut
      if (Date.now() < held.renewAt) return { ok: true, token: held.accessToken }
      return refresh(held.accessToken)
    },
  }
}
