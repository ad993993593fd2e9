import type { DescService } from '@bufbuild/protobuf'
import type { Client, ConnectRouter } from '@connectrpc/connect'

/**
 * How one process calls another's internal services. An address is what a process leases and writes into its
 * commands; within one process it is a mere name.
 */
export interface RpcConnector {
  /** A client of a service at an address; kept, so calling this again costs nothing. */
  client<S extends DescService>(service: S, address: string): Client<S>
}

export type RpcRoutes = (router: ConnectRouter) => void
