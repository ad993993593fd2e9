import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'

const types = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
} as const

/** What the page is made of; nothing else of its folder is served. */
const files: Record<string, keyof typeof types> = {
  'index.html': 'html',
  'style.css': 'css',
  'page.js': 'js',
  'operation.js': 'js',
  'request.js': 'js',
  'schema.js': 'js',
  'sign-in.js': 'js',
  'nodes.js': 'js',
}

/** Its own files and this API, and nothing from anywhere else. */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** `GET /docs`: a page made of `/openapi.json` in the browser, to read the API and try it; it needs no access token. */
export async function mountDocsPage(app: FastifyInstance): Promise<void> {
  const folder = new URL('./docs-page/', import.meta.url)
  for (const [name, type] of Object.entries(files)) {
    const text = await readFile(fileURLToPath(new URL(name, folder)), 'utf8')
    const url = name === 'index.html' ? '/docs' : `/docs/${name}`
    app.get(url, { schema: { hide: true } }, async (_request, reply) =>
      reply
        .headers({
          'cache-control': 'no-cache',
          'content-security-policy': contentSecurityPolicy,
          'content-type': types[type],
        })
        .send(text),
    )
  }
}
