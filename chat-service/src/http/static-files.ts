import { stat } from 'node:fs/promises'
import fastifyStatic from '@fastify/static'
import type { FastifyInstance, FastifyReply } from 'fastify'

/**
 * What a page of ours may load: its own scripts, styles and images, and any WebSocket, since gateways have addresses of
 * their own. Nothing inline, no other host, no frame.
 */
const contentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self' ws: wss:",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/**
 * Serves the files of `folder` (an absolute path) at `/`, `index.html` as `/` itself. Each file that is there at the
 * start is a route of its own; any other path, a dotfile or a folder is answered as the API answers what it doesn't
 * know. The app fails to start when the folder is not there.
 */
export function mountStaticFiles(app: FastifyInstance, { folder }: { folder: string }): void {
  app.register(async (scope) => {
    const found = await stat(folder)
    if (!found.isDirectory()) throw new Error(`${folder} is no folder`)
    await scope.register(fastifyStatic, {
      root: folder,
      wildcard: false,
      serveDotFiles: false,
      dotfiles: 'ignore',
      decorateReply: false,
      cacheControl: false,
      setHeaders,
    })
  })
}

/** Files have no version in their names, so each is asked for again and mostly answered 304: a page is of one release. */
function setHeaders(reply: FastifyReply): void {
  reply.headers({
    'cache-control': 'no-cache',
    'content-security-policy': contentSecurityPolicy,
  })
}
