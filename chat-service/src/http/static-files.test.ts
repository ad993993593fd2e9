import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createMetrics } from '@parley/platform/process/metrics'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createHttpApi } from './http-api.ts'
import { mountStaticFiles } from './static-files.ts'

/** No test here reaches what these parts would do. */
const untouched = {} as never

function createApi(): Promise<FastifyInstance> {
  return createHttpApi(
    { gatewayUrls: () => [] },
    {
      accounts: untouched,
      changes: untouched,
      readPositions: untouched,
      database: untouched,
      log: { error: () => {} },
      metrics: createMetrics(),
    },
  )
}

let root: string
let app: FastifyInstance

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'parley-static-'))
  const folder = join(root, 'public')
  await mkdir(join(folder, 'parts'), { recursive: true })
  await mkdir(join(folder, '.hidden'))
  await writeFile(join(root, 'secret.txt'), 'outside the folder')
  await writeFile(join(folder, 'index.html'), '<!doctype html><title>t</title>')
  await writeFile(join(folder, 'app.js'), 'export {}')
  await writeFile(join(folder, 'style.css'), 'body {}')
  await writeFile(join(folder, 'icon.svg'), '<svg xmlns="http://www.w3.org/2000/svg"/>')
  await writeFile(join(folder, 'parts', 'list.js'), 'export {}')
  await writeFile(join(folder, '.env'), 'SECRET=1')
  await writeFile(join(folder, '.hidden', 'a.js'), 'export {}')
  app = await createApi()
  mountStaticFiles(app, { folder })
  await app.ready()
})

afterAll(async () => {
  await app.close()
  await rm(root, { recursive: true })
})

const get = (url: string, options: InjectOptions = {}) =>
  app.inject({ method: 'GET', url, ...options })

describe('files', () => {
  test.each([
    ['/', 'text/html; charset=utf-8'],
    ['/index.html', 'text/html; charset=utf-8'],
    ['/app.js', 'application/javascript; charset=utf-8'],
    ['/style.css', 'text/css; charset=utf-8'],
    ['/icon.svg', 'image/svg+xml'],
    ['/parts/list.js', 'application/javascript; charset=utf-8'],
    ['/app.js?v=1', 'application/javascript; charset=utf-8'],
  ])('%s is served as %s', async (url, type) => {
    const response = await get(url)
    expect(response.statusCode).toBe(200)
    expect(response.headers['content-type']).toBe(type)
  })

  test('carry the page’s policy and the API’s other headers', async () => {
    const { headers } = await get('/')
    expect(headers['content-security-policy']).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' ws: wss:; img-src 'self'; " +
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
    expect(headers['x-content-type-options']).toBe('nosniff')
    expect(headers['referrer-policy']).toBe('no-referrer')
    expect(headers['x-frame-options']).toBe('DENY')
  })

  test('are asked for again each time, and answered 304 with the same policy while unchanged', async () => {
    const first = await get('/app.js')
    expect(first.headers['cache-control']).toBe('no-cache')
    const etag = String(first.headers.etag)
    expect(etag).toMatch(/^(W\/)?".+"$/)
    const again = await get('/app.js', { headers: { 'if-none-match': etag } })
    expect(again.statusCode).toBe(304)
    expect(again.body).toBe('')
    expect(again.headers['cache-control']).toBe('no-cache')
    expect(again.headers['content-security-policy']).toContain("script-src 'self'")
    const other = await get('/app.js', { headers: { 'if-none-match': '"other"' } })
    expect(other.statusCode).toBe(200)
  })

  test('have an answer to HEAD without a body', async () => {
    const response = await get('/app.js', { method: 'HEAD' })
    expect(response.statusCode).toBe(200)
    expect(response.body).toBe('')
    expect(response.headers['content-length']).toBe('9')
  })

  test('are not in the OpenAPI document', async () => {
    const { paths } = (await get('/openapi.json')).json()
    expect(Object.keys(paths)).toContain('/v1/auth/login')
    expect(Object.keys(paths).filter((path) => /^\/$|\.(js|html|css|svg)$/.test(path))).toEqual([])
  })
})

describe('anything else is the API’s 404, with the API’s policy', () => {
  test.each([
    '/nothing',
    '/nothing.js',
    '/v1/nothing',
    '/parts',
    '/parts/',
    '/.env',
    '/.hidden/a.js',
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/parts/..%5c..%5csecret.txt',
    '/app.js/',
    '//app.js',
    '/APP.JS',
  ])('%s', async (url) => {
    const response = await get(url)
    expect(response.statusCode).toBe(404)
    expect(response.headers['content-type']).toBe('application/problem+json; charset=utf-8')
    expect(response.json().code).toBe('not_found')
    expect(response.headers['content-security-policy']).toBe(
      "default-src 'none'; frame-ancestors 'none'",
    )
    expect(response.headers['cache-control']).toBe('no-store')
  })

  test('POST to a file', async () => {
    const response = await get('/app.js', { method: 'POST' })
    expect(response.statusCode).toBe(404)
    expect(response.json().code).toBe('not_found')
  })
})

test('routes that need an access token still ask for one, and files do not', async () => {
  expect((await get('/v1/gateway')).statusCode).toBe(401)
  expect((await get('/')).statusCode).toBe(200)
})

test('a folder that is not there stops the start', async () => {
  const other = await createApi()
  mountStaticFiles(other, { folder: join(root, 'absent') })
  await expect(other.ready()).rejects.toThrow(/absent/)
  await other.close()
})
