/**
 * A client for programs. Decides: what it connects to; today a node in the same process.
 */
import type { Client } from '../client/index.ts'
import type { TroupeNode } from './node.ts'

export interface ClientOptions {
  node: TroupeNode
  /** Stands in histories and audit trails. Default `client`. */
  author?: string
}

export function createClient(options: ClientOptions): Client {
  return options.node.client.as(options.author ?? 'client')
}
