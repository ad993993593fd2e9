import { within } from './deadline.ts'

/** A thin wrapper of fetch that knows Bearer tokens and RFC 9457 problems. */
export interface HttpClient {
  /** Throws unless the status is `expect` (200 by itself); the answer's JSON, or undefined when it has no body. */
  call<T = unknown>(method: Method, path: string, options?: CallOptions): Promise<T>
  /** The answer as it is. */
  raw(method: Method, path: string, options?: CallOptions): Promise<RawAnswer>
  /** Throws unless the answer is a problem document. */
  problem(method: Method, path: string, options?: CallOptions): Promise<Problem>
}

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'

export interface CallOptions {
  token?: string
  body?: unknown
  /** Sent as it is instead of `body`, with the type of JSON. */
  text?: string
  expect?: number | readonly number[]
  deadlineMs?: number
}

export interface RawAnswer {
  status: number
  headers: Headers
  text: string
}

export interface Problem {
  status: number
  code: string
  headers: Headers
  document: Record<string, unknown>
}

export function httpClient(baseUrl: () => string): HttpClient {
  const raw: HttpClient['raw'] = async (method, path, options = {}) => {
    const headers: Record<string, string> = {}
    if (options.token !== undefined) headers.authorization = `Bearer ${options.token}`
    const body =
      options.text ?? (options.body === undefined ? undefined : JSON.stringify(options.body))
    if (body !== undefined) headers['content-type'] = 'application/json'
    const ask = async () => {
      const init: RequestInit = { method, headers }
      if (body !== undefined) init.body = body
      const response = await fetch(baseUrl() + path, init)
      return { status: response.status, headers: response.headers, text: await response.text() }
    }
    return within(`${method} ${path}`, options.deadlineMs ?? 30_000, ask())
  }
  return {
    raw,
    async call<T>(method: Method, path: string, options: CallOptions = {}) {
      const answer = await raw(method, path, options)
      const wanted = ([] as number[]).concat(options.expect ?? 200)
      if (!wanted.includes(answer.status)) {
        throw new Error(`${method} ${path}: ${answer.status} ${answer.text.slice(0, 500)}`)
      }
      return (answer.text === '' ? undefined : JSON.parse(answer.text)) as T
    },
    async problem(method, path, options = {}) {
      const { status, headers, text } = await raw(method, path, options)
      const type = headers.get('content-type') ?? 'nothing'
      if (!type.startsWith('application/problem+json')) {
        throw new Error(`${method} ${path}: ${status}, ${type}, no problem document: ${text}`)
      }
      const document = JSON.parse(text) as Record<string, unknown>
      return { status, headers, document, code: String(document.code) }
    },
  }
}
