import type { DescService } from '@bufbuild/protobuf'
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Transport,
} from '@connectrpc/connect'
import type { RpcConnector, RpcRoutes } from './connector.ts'

/** Calls between services that run in one process, over the same generated clients as between processes. */
export interface InProcessRpc extends RpcConnector {
  /** Serves `routes` at `address` until the returned function is called. Throws when the address is taken. */
  serve(address: string, routes: RpcRoutes): () => void
}

export function createInProcessRpc(): InProcessRpc {
  const transports = new Map<string, Transport>()
  const clients = new Map<string, WeakMap<DescService, unknown>>()

  return {
    serve(address, routes) {
      if (transports.has(address)) throw new Error(`two services share the address ${address}`)
      transports.set(address, createRouterTransport(routes))
      return () => {
        transports.delete(address)
        clients.delete(address)
      }
    },
    client<S extends DescService>(service: S, address: string): Client<S> {
      const transport = transports.get(address)
      if (transport === undefined) {
        throw new ConnectError(`no service at ${address}`, Code.Unavailable)
      }
      let known = clients.get(address)
      if (known === undefined) {
        known = new WeakMap()
        clients.set(address, known)
      }
      const kept = known.get(service)
      if (kept !== undefined) return kept as Client<S>
      const made = createClient(service, transport)
      known.set(service, made)
      return made
    },
  }
}
