/**
 * The cluster that a node joins. Decides: the section `nats` of the configuration. Leaves to others: what
 * servers and files hold (adapters/nats).
 */
import { z } from 'zod'
import { text } from './config-http.ts'

export interface NatsConfig {
  /**
   * Such as `nats://10.0.0.1:4222`. One is enough, since servers tell of each other; with several a node
   * finds its way also from a server that is cut off from the others.
   */
  servers: string[]
  /** Of everything that NATS keeps; what stands there is not changed by it. Default 1. */
  replicas?: number
  /** Where the node stands: a shard and its standby are in different zones, where there are two. */
  zone?: string
  /** How much the node takes in proportion to the others; with 0 no shards, such as a gateway. Default 1. */
  weight?: number
  user?: string
  passwordFile?: string
  tokenFile?: string
  nkeyFile?: string
  credsFile?: string
  inboxPrefix?: string
  tls?: { caFile?: string; certFile?: string; keyFile?: string; handshakeFirst?: boolean }
}

/** Replicas vote, so they are an odd number; NATS has five at most. */
const REPLICAS = [1, 3, 5]
const replicas = z
  .number({ error: 'the number 1, 3 or 5' })
  .refine((count) => REPLICAS.includes(count), { error: 'the number 1, 3 or 5' })
const ADDRESSES = 'a list of addresses such as nats://127.0.0.1:4222'
const weight = z.number({ error: 'a number from 0 up' }).min(0, { error: 'a number from 0 up' })

export const natsTlsShape = {
  caFile: text,
  certFile: text,
  keyFile: text,
  handshakeFirst: z.boolean({ error: 'true or false' }),
}

export const natsShape = {
  servers: z.array(text, { error: ADDRESSES }).min(1, { error: ADDRESSES }),
  ...{ replicas, zone: text, weight },
  ...{ user: text, passwordFile: text, tokenFile: text, nkeyFile: text, credsFile: text },
  inboxPrefix: text,
  tls: z.strictObject(natsTlsShape, { error: 'a section of keys and values' }).partial(),
}

/** All but the servers may be left out, and these where `--nats` names them. */
export const natsSection = z
  .strictObject(natsShape, { error: 'a section of keys and values' })
  .partial()
