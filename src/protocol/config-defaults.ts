/**
 * What holds where a configuration says nothing. Decides: the defaults, and what may name a node or a cluster.
 * It loads no package: every command needs some of it.
 */
import type { ListenerConfig, UserConfig } from './config-http.ts'
import { DEFAULT_LIMITS } from './limits.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevelName = (typeof LOG_LEVELS)[number]

/** `fast`: the heap grows as V8 likes it. `small`: it keeps little garbage, and collects more often. */
export const HEAPS = ['fast', 'small'] as const
export type HeapName = (typeof HEAPS)[number]

/** `name` and `worker.queues` have no fixed default: the host's name, all queues of the node's tasks. */
export const DEFAULT_CONFIG = Object.freeze({
  cluster: 'troupe',
  data: '.data',
  shards: 64,
  http: Object.freeze({
    host: '127.0.0.1',
    port: 9800,
    users: Object.freeze([]) as readonly UserConfig[],
    trustedProxies: Object.freeze([]) as readonly string[],
  }),
  listeners: Object.freeze([]) as readonly ListenerConfig[],
  limits: DEFAULT_LIMITS,
  worker: Object.freeze({ slots: 8 }),
  heap: 'fast' as HeapName,
  log: Object.freeze({ level: 'info' as LogLevelName }),
  apps: Object.freeze({}),
})

/** Names of nodes and clusters stand in subjects and file names. */
export const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
export function isNodeName(name: string): boolean {
  return NODE_NAME.test(name)
}
