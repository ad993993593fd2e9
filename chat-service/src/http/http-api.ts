import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { Database } from '@parley/platform/ports/database'
import type { Log } from '@parley/platform/process/logs'
import type { Metrics } from '@parley/platform/process/metrics'
import { failure } from '@parley/proto/errors'
import { subprotocols } from '@parley/proto/frames'
import { limits } from '@parley/proto/limits'
import fastify, { type FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { Accounts } from '../accounts/accounts.ts'
import type { Changes } from '../conversations/changes.ts'
import type { ReadPositions } from '../conversations/read-positions.ts'
import { mountSessionRoutes, mountSignInRoutes } from './account-routes.ts'
import { requireCaller } from './authenticate.ts'
import { mountConversationRoutes } from './conversation-routes.ts'
import { mountDocsPage } from './docs-page.ts'
import { drainBody } from './drain-body.ts'
import { mountHistoryRoutes } from './history-routes.ts'
import { describeApi } from './http-api-document.ts'
import type { HttpApp } from './http-app.ts'
import { createHttpMetrics, type HttpMetrics } from './http-metrics.ts'
import { mountMemberRoutes } from './member-routes.ts'
import { failureOf, rawProblem, sendProblem } from './problems.ts'
import { mountReadRoutes } from './read-routes.ts'
import { readRequestForms } from './request-forms.ts'
import { answers } from './schemas.ts'
import { mountUserRoutes } from './user-routes.ts'

export interface HttpApiConfig {
  /** The public addresses of gateways, as `GET /v1/gateway` tells them. */
  gatewayUrls: () => string[]
  /** Connections at once; the next is dropped. By default 10,000. */
  maxConnections?: number
}

export interface HttpApiParts {
  accounts: Accounts
  changes: Changes
  readPositions: ReadPositions
  database: Database
  log: Pick<Log, 'error'>
  metrics: Metrics
}

/** How long each part of a request may take. */
const timeouts = {
  /** Its headers. */
  headersMs: 10_000,
  /** The whole of it, body included. */
  requestMs: 20_000,
  /** Its handler: longer than the database's and the log's own bounds together. */
  handlerMs: 30_000,
  /** Nothing sent or received. */
  idleMs: 60_000,
  keepAliveMs: 65_000,
}
const headerBytes = 16 * 1024
const paramLength = 128

/**
 * The HTTP API, with no listener yet: `app.listen`, or `app.inject` in tests. More may be mounted before that (private
 * routes, a folder of static files); what is mounted on `app` itself needs no access token.
 */
export async function createHttpApi(
  config: HttpApiConfig,
  parts: HttpApiParts,
): Promise<FastifyInstance> {
  const app = fastify({
    logger: false,
    bodyLimit: limits.httpBodyBytes,
    requestTimeout: timeouts.requestMs,
    connectionTimeout: timeouts.idleMs,
    keepAliveTimeout: timeouts.keepAliveMs,
    handlerTimeout: timeouts.handlerMs,
    http: { headersTimeout: timeouts.headersMs, maxHeaderSize: headerBytes },
    routerOptions: { maxParamLength: paramLength },
    /* Answered below in our own form. */
    return503OnClosing: false,
    ajv: {
      customOptions: {
        strict: true,
        coerceTypes: false,
        removeAdditional: false,
        useDefaults: false,
        allErrors: false,
      },
    },
    frameworkErrors: (error, _request, reply) => {
      sendProblem(reply as never, failureOf(error))
    },
    clientErrorHandler(error, socket) {
      if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
      const refused =
        error.code === 'HPE_HEADER_OVERFLOW'
          ? failure('too_large', 'headers are at most 16 KiB')
          : failure('invalid', 'this is no HTTP request, or it did not arrive in time')
      socket.end(rawProblem(refused))
    },
  }).withTypeProvider<TypeBoxTypeProvider>()
  app.server.maxConnections = config.maxConnections ?? 10_000

  answerErrors(app, parts.log)
  countAnswers(app, createHttpMetrics(parts.metrics))
  addSecurityHeaders(app)
  readRequestForms(app)
  refuseWhileClosing(app)
  await describeApi(app)
  await mountDocsPage(app)

  mountSignInRoutes(app, parts.accounts)
  await app.register(async (scope) => {
    const secured = scope.withTypeProvider<TypeBoxTypeProvider>()
    requireCaller(secured, parts.accounts)
    mountSessionRoutes(secured, parts.accounts)
    mountUserRoutes(secured, parts.accounts)
    mountGatewayRoute(secured, config)
    mountConversationRoutes(secured, parts)
    mountMemberRoutes(secured, parts.changes)
    mountHistoryRoutes(secured, parts)
    mountReadRoutes(secured, parts.readPositions)
  })
  return app as FastifyInstance
}

function answerErrors(app: HttpApp, log: HttpApiParts['log']): void {
  app.decorateReply('refusal', '')
  app.decorateRequest('caller')
  app.setErrorHandler(async (error: Error, request, reply) => {
    const refused = failureOf(error)
    if (refused.code === 'too_large') await drainBody(request.raw)
    if (refused.code === 'internal') {
      log.error({ err: error, route: request.routeOptions.url }, 'a request failed')
    }
    return sendProblem(reply, refused)
  })
  app.setNotFoundHandler((_request, reply) =>
    sendProblem(reply, failure('not_found', 'no such resource')),
  )
}

function countAnswers(app: HttpApp, { requests, refusals }: HttpMetrics): void {
  app.addHook('onResponse', async (request, reply) => {
    /* A route's pattern; what matched none is one label. */
    const route = request.routeOptions.url ?? 'none'
    const labels = { method: request.method, route, status: String(reply.statusCode) }
    requests.observe(labels, reply.elapsedTime / 1000)
    if (reply.refusal !== '') refusals.inc({ code: reply.refusal })
  })
}

function addSecurityHeaders(app: HttpApp): void {
  app.addHook('onRequest', async (_request, reply) => {
    reply.headers({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
      'cross-origin-resource-policy': 'same-origin',
      'referrer-policy': 'no-referrer',
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
    })
  })
}

/** Connections kept alive get an answer and go, so that closing does not wait for them. */
function refuseWhileClosing(app: HttpApp): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  app.addHook('onRequest', async (_request, reply) => {
    if (!closing) return
    reply.header('connection', 'close')
    return sendProblem(reply, failure('unavailable', 'this process is closing', 1_000))
  })
}

function mountGatewayRoute(app: HttpApp, { gatewayUrls }: HttpApiConfig): void {
  app.get(
    '/v1/gateway',
    {
      schema: {
        tags: ['gateway'],
        summary: 'Where WebSockets connect',
        response: answers({
          200: Type.Object({
            urls: Type.Array(Type.String({ examples: ['ws://127.0.0.1:8081/ws'] })),
            protocols: Type.Array(Type.String({ examples: [subprotocols[0]] })),
          }),
        }),
      },
    },
    async () => ({ urls: gatewayUrls(), protocols: [...subprotocols] }),
  )
}
