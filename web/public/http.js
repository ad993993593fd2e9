/**
 * One request to the API. Failures are values: `{ok: false, code, message, status, retryable}`, with `unreachable` where
 * no answer came at all.
 */

const timeoutMs = 20_000

/** @returns {{ok: false, code: string, message: string, status: number, retryable: boolean}} */
export function failure(code, message, { status = 0, retryable = false } = {}) {
  return { ok: false, code, message, status, retryable }
}

export const unreachable = failure('unreachable', 'The server can’t be reached.', {
  retryable: true,
})

/**
 * @param {string} method
 * @param {string} path
 * @param {{token?: string, body?: unknown, signal?: AbortSignal, onDate?: (serverMs: number) => void}} options
 */
export async function request(method, path, { token, body, signal, onDate } = {}) {
  const headers = { accept: 'application/json' }
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  if (body !== undefined) headers['content-type'] = 'application/json'
  const timeout = AbortSignal.timeout(timeoutMs)
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    })
    onDate?.(Date.parse(response.headers.get('date') ?? ''))
    const text = await response.text()
    if (response.ok) {
      return { ok: true, status: response.status, body: text === '' ? undefined : JSON.parse(text) }
    }
    return problemOf(response, text)
  } catch {
    return unreachable
  }
}

/** RFC 9457 problem details; or, where something between here and the server answered, its status alone. */
function problemOf(response, text) {
  const { status } = response
  const retryable = status === 429 || status >= 500
  try {
    const { code, detail, title } = JSON.parse(text)
    if (typeof code === 'string')
      return failure(code, sentence(detail ?? title), { status, retryable })
  } catch {
    /* No problem details: told below. */
  }
  return failure('unavailable', `The server answered ${status}.`, { status, retryable })
}

/** The server's words as a sentence to show. */
export function sentence(words) {
  const text = String(words ?? 'something went wrong').trim()
  const begun = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`
}
