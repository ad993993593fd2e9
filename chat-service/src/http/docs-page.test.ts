import { readdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestWorld, type TestWorld } from './test-world.ts'

let world: TestWorld
/** By path: what the page is made of. */
const files = new Map<string, string>()
beforeAll(async () => {
  world = await openTestWorld()
  const folder = fileURLToPath(new URL('./docs-page', import.meta.url))
  for (const name of await readdir(folder)) {
    const url = name === 'index.html' ? '/docs' : `/docs/${name}`
    const { status, body } = await world.call(undefined, { url })
    expect([url, status]).toEqual([url, 200])
    files.set(url, body)
  }
}, 60_000)
afterAll(() => world?.close())

const page = () => files.get('/docs') as string

test('[H3] needs no token, and everything that it names is served', async () => {
  const { headers } = await world.call(undefined, { url: '/docs' })
  expect(headers['content-type']).toBe('text/html; charset=utf-8')
  const named = [...page().matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, name]) => name as string)
  for (const [, text] of files) {
    named.push(...[...text.matchAll(/from '\.\/([^']+)'/g)].map(([, name]) => `docs/${name}`))
  }
  expect(named.length).toBeGreaterThan(8)
  for (const name of named.filter((n) => !n.startsWith('data:'))) {
    expect((await world.call(undefined, { url: `/${name}` })).status, name).toBe(200)
  }
  expect((await world.call(undefined, { url: '/docs/nothing.js' })).status).toBe(404)
})

test('asks nothing of any other host, and nothing in it is inline', async () => {
  const { headers } = await world.call(undefined, { url: '/docs' })
  const policy = String(headers['content-security-policy'])
  expect(policy).toContain("default-src 'none'")
  expect(policy).not.toMatch(/unsafe|\*|https?:|ws/)
  for (const [url, text] of files) {
    expect(text, url).not.toMatch(/(https?:)?\/\/[a-z0-9-]+\.[a-z]{2,}/i)
    expect(text, url).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b/)
  }
  expect(page()).not.toMatch(/<script(?![^>]*\bsrc=)/)
  expect(page()).not.toMatch(/<style|\bstyle=|\bon[a-z]+=/)
})

test('no token leaves the memory of the page', () => {
  for (const [url, text] of files) {
    expect(text, url).not.toMatch(/localStorage|sessionStorage|indexedDB|document\.cookie/)
  }
})

test('is not a part of the document that it shows', async () => {
  const { body } = await world.call(undefined, { url: '/openapi.json' })
  expect(Object.keys(body.paths).filter((path) => path.includes('docs'))).toEqual([])
})
