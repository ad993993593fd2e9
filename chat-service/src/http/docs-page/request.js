/** One request, and what came back. */

const timeoutMs = 35_000

/**
 * @param {{method: string, path: string, body?: string, token?: string}} request
 * @returns {Promise<{ok: true, status: number, statusText: string, headers: [string, string][], text: string, ms: number}
 *   | {ok: false, reason: string}>} `ok` says that an answer came, whatever it says
 */
export async function send({ method, path, body, token }) {
  const headers = {}
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  if (body !== undefined) headers['content-type'] = 'application/json'
  const began = performance.now()
  try {
    const response = await fetch(hrefOf(path), {
      method,
      headers,
      body,
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const text = await response.text()
    const { status, statusText } = response
    const ms = Math.round(performance.now() - began)
    return { ok: true, status, statusText, headers: [...response.headers], text, ms }
  } catch (error) {
    return { ok: false, reason: `No answer came: ${error.message}` }
  }
}

/** The API lies beside this page, also where something before it adds to the path. */
export function hrefOf(path) {
  return new URL(path.slice(1), document.baseURI).href
}

/** The same request for a shell. */
export function curlOf({ method, path, body, token }) {
  const words = ['curl', '-sS', '-X', method]
  if (token !== undefined) words.push('-H', quoted('authorization: Bearer …'))
  if (body !== undefined)
    words.push('-H', quoted('content-type: application/json'), '-d', quoted(body))
  return [...words, quoted(hrefOf(path))].join(' ')
}

function quoted(word) {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** A version 7 UUID (RFC 9562 §5.7) of now: what the one who sends makes for each new thing. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const time = Date.now()
  for (let i = 0; i < 6; i++) bytes[i] = Math.floor(time / 256 ** (5 - i)) % 256
  bytes[6] = (bytes[6] & 0x0f) | 0x70
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
