import type { Health } from '@parley/platform/process/health'
import type { Metrics } from '@parley/platform/process/metrics'
import { failure } from '@parley/proto/errors'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { sendProblem } from './problems.ts'

export interface PrivateRoutes {
  health: Health
  metrics: Metrics
  /** On a listener that strangers reach: whoever is not on this machine gets 404. */
  loopbackOnly: boolean
}

/** `/healthz`, `/readyz` and `/metrics`; not in the OpenAPI document. */
export function mountPrivateRoutes(app: FastifyInstance, routes: PrivateRoutes): void {
  const { health, metrics, loopbackOnly } = routes
  const schema = { hide: true }
  app.register(async (scope) => {
    if (loopbackOnly) {
      scope.addHook('onRequest', async (request, reply) => {
        if (!isLocal(request)) return sendProblem(reply, failure('not_found', 'no such resource'))
      })
    }
    scope.get('/healthz', { schema }, async (_request, reply) => {
      const report = health.live()
      return reply.code(report.live ? 200 : 503).send(report)
    })
    scope.get('/readyz', { schema }, async (_request, reply) => {
      const report = await health.ready()
      return reply.code(report.ready ? 200 : 503).send(report)
    })
    scope.get('/metrics', { schema }, async (_request, reply) => {
      const { contentType, text } = await metrics.exposition()
      return reply.type(contentType).send(text)
    })
  })
}

const loopback = /^(127\.|::1$|::ffff:127\.)/

/** A proxy on this machine speaks for others, and says so. */
function isLocal(request: FastifyRequest): boolean {
  const { headers, socket } = request
  if (headers.forwarded !== undefined || headers['x-forwarded-for'] !== undefined) return false
  return loopback.test(socket.remoteAddress ?? '')
}
