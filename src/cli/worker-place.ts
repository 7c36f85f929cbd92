/**
 * Which way a worker takes to its cluster: over HTTP to a node, by the key of its group, or over NATS, as
 * a user there. Decides: that it takes one of them, and where each finds its secrets.
 */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { WorkerOptions } from '../node/index.ts'
import { DEFAULT_CONFIG, type NatsConfig, TroupeError } from '../protocol/index.ts'
import { UsageError } from './exit-codes.ts'
import { natsPlaceOf } from './nats-place.ts'
import { URL_DEFAULT } from './node-api.ts'
import { type ConfigFile, configFileOf, locate, natsAccessOf } from './settings.ts'
import type { Terminal } from './terminal.ts'
import { KEY_VARIABLE, type PlaceFlags } from './worker-flags.ts'

type Place = Pick<WorkerOptions, 'server' | 'key' | 'nats' | 'cluster'>

/** What a worker's file may hold. */
const SECTIONS: readonly string[] = ['apps', 'nats', 'cluster']
/** What of `nats` says something of a node. */
const OF_NODES: readonly (keyof NatsConfig)[] = ['replicas', 'zone', 'weight']

/** Everything else that a node's file may hold would be ignored, so it is refused. */
export function workerFileOf({ config }: PlaceFlags, { cwd }: Terminal): ConfigFile | undefined {
  if (config === undefined) return undefined
  const file = configFileOf({ config }, cwd)
  const other = Object.keys(file?.config ?? {}).find((name) => !SECTIONS.includes(name))
  const ofNodes = OF_NODES.find((name) => file?.config.nats?.[name] !== undefined)
  const why =
    other !== undefined
      ? `${other}: of a worker's configuration only ${SECTIONS.join(', ')} count; the rest are flags, see troupe worker --help`
      : `nats.${ofNodes}: it says something of nodes, and nothing of workers`
  if (file === undefined || (other ?? ofNodes) === undefined) return file
  throw locate(new TroupeError('invalid-config', why), file, {})
}

/** @throws UsageError @throws TroupeError `invalid-config` */
export function placeOf(
  flags: PlaceFlags,
  file: ConfigFile | undefined,
  terminal: Terminal,
): Place {
  const { server, key, keyFile, nats, cluster, user, creds } = flags
  const ofHttp = Object.entries({ server, key, 'key-file': keyFile }).find(([, v]) => v)?.[0]
  if (ofHttp !== undefined && nats !== undefined) {
    const why = 'a worker goes to a node by a key, or to NATS as one of its users'
    throw new UsageError(`--${ofHttp} and --nats: ${why}`)
  }
  // What is named wins over the file and the environment.
  if (ofHttp === undefined && file?.config.nats) {
    const ofUser = Object.entries({ user, creds }).find(([, value]) => value)?.[0]
    if (ofUser !== undefined) {
      throw new UsageError(`--${ofUser}: the file says who the worker is (nats)`)
    }
    const access = natsAccessOf(file, nats === undefined ? {} : { nats }, terminal.cwd)
    return { nats: access!, cluster: cluster ?? file.config.cluster ?? DEFAULT_CONFIG.cluster }
  }
  const http = ofHttp === undefined ? {} : { http: ofHttp }
  const named = Object.entries({ nats, cluster, user, creds }).filter(([, value]) => value)
  const place = natsPlaceOf({ ...Object.fromEntries(named), ...http }, terminal)
  if (place) return { ...place, cluster: cluster ?? file?.config.cluster ?? place.cluster }
  const url = server ?? (terminal.env['TROUPE_HTTP'] || URL_DEFAULT)
  return { server: url, key: keyOf(flags, terminal) }
}

/** Read when it is wanted: a file may hold another one later. */
function keyOf({ key, keyFile }: PlaceFlags, { env, cwd }: Terminal): () => string {
  if (key !== undefined && keyFile !== undefined) {
    throw new UsageError('--key and --key-file: name the key once')
  }
  const given = key ?? (keyFile === undefined ? env[KEY_VARIABLE] : undefined)
  if (given !== undefined && given !== '') return () => given.trim()
  if (keyFile === undefined) {
    throw new UsageError(
      `the key of the group is missing: --key-file FILE, or ${KEY_VARIABLE} (troupe workers groups add prints it)`,
    )
  }
  const path = resolve(cwd, keyFile)
  return () => {
    try {
      return readFileSync(path, 'utf8').trim()
    } catch (cause) {
      const why = (cause as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : ''
      const message = `--key-file ${keyFile}: ${why || (cause as Error).message}`
      throw new TroupeError('invalid-config', message, { cause })
    }
  }
}
