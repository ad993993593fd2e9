import { randomBytes, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { writeDurably } from '@parley/platform/process/write-durably'

/** In the data folder, readable by its owner only: where the running process listens, and the secret to say there. */
export const adminFile = 'admin.json'

export interface AdminListenerParts {
  dataDir: string
  databaseUrl: string
  /** Resolves once all that was acked before the call is in the database; rejects when that takes too long. */
  projected: () => Promise<void>
}

/** What the running process answers. */
export interface AdminAnswers {
  '/database': { url: string }
  '/projected': { projected: true }
}

/** Nobody needs more at once than a backup and an operator's command. */
const maxConnections = 8
const requestMs = 5_000

/**
 * Lets commands on this machine reach the running process: a listener of its own on 127.0.0.1, so that neither PARLEY_HOST
 * nor a proxy before the API opens it to anyone, and a secret made anew at each start.
 */
export async function startAdminListener(
  parts: AdminListenerParts,
): Promise<{ close(): Promise<void> }> {
  const secret = randomBytes(32).toString('hex')
  const path = join(parts.dataDir, adminFile)
  const server = createServer((request, response) => {
    answer(request, secret, parts).then(
      ({ status, body }) => respond(response, status, body),
      (error: Error) => respond(response, 503, { message: error.message }),
    )
  })
  server.maxConnections = maxConnections
  server.requestTimeout = requestMs
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await writeDurably(path, `${JSON.stringify({ port, secret })}\n`, 0o600)
  return {
    async close() {
      await rm(path, { force: true })
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function answer(
  request: IncomingMessage,
  secret: string,
  parts: AdminListenerParts,
): Promise<{ status: number; body: object }> {
  const answers: { [P in keyof AdminAnswers]: () => Promise<AdminAnswers[P]> } = {
    '/database': async () => ({ url: parts.databaseUrl }),
    '/projected': async () => {
      await parts.projected()
      return { projected: true }
    },
  }
  const known = Object.entries(answers).find(([route]) => route === request.url)
  if (known === undefined || request.method !== 'POST' || !knows(request, secret)) {
    return { status: 404, body: {} }
  }
  return { status: 200, body: await known[1]() }
}

function knows(request: IncomingMessage, secret: string): boolean {
  const given = Buffer.from(request.headers.authorization ?? '')
  const wanted = Buffer.from(`Bearer ${secret}`)
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}

function respond(response: ServerResponse, status: number, body: object): void {
  if (response.destroyed) return
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify(body))
}
