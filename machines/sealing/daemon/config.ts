/**
 * What a daemon is configured to be. Decides: what the file means as a whole, that two threads never share
 * a directory, that a port other machines can reach has a token, and which mistakes stop the start.
 * Leaves to others: the keys (`worker-toml.ts`), opening anything. Relative paths are of the directory that
 * the daemon is started in, as existing files mean them.
 */
import { createHash } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { parse, TomlError } from 'smol-toml'
import type { z } from 'zod'
import { type NatsOptions, TroupeError } from '../../../src/index.ts'
import type { PlanName } from '../plans/states.ts'
import type { SealingSettings } from '../thread/step.ts'
import { isLoopback, type Place, parsePlace } from './places.ts'
import { type ProcessorsConfig, processorsOf } from './processor-settings.ts'
import { settingsOf } from './sealing-settings.ts'
import { pathText, takeUnknownKeys } from './unknown-keys.ts'
import { type SealingKeys, type WorkerToml, workerToml } from './worker-toml.ts'

export interface ThreadConfig {
  /** Its position in the file, by which the old interface names it. */
  index: number
  /** Behind the worker's name it is the id of its actor. */
  name: string
  plan: PlanName
  /** Canonical; null for plans that need no store. */
  location: string | null
  settings: SealingSettings
  /** What the thread itself says, for a store's own file to be laid over. */
  own: SealingKeys | undefined
}

export interface AttachedConfig {
  name: string
  location: string
  isReadonly: boolean
}

export interface ClusterConfig {
  name: string
  /** To speak to threads. */
  nats: NatsOptions
  /** To take their steps. */
  workerNats: NatsOptions
  /** Of workers: names the rest of their queues, and lets operators shut them out. */
  group: string
}

export interface WorkerConfig {
  file: string
  /** Null: to be found out, see `worker-name.ts`. */
  name: string | null
  rpcServer: { host: string; port: number; tokenFile: string | null }
  pingIntervalMs: number
  localPiecesDirs: string[]
  metrics: { host: string; port: number } | null
  manager: { addr: string; headers: Record<string, string>; pieceToken: string | null }
  /** Of `[sealing]`, for a store's own file. */
  shared: SealingKeys | undefined
  threads: ThreadConfig[]
  attached: AttachedConfig[]
  processors: ProcessorsConfig
  data: string
  /** Null: threads live in a node of this process. */
  cluster: ClusterConfig | null
  /** Where operators reach the node of this process; null: nowhere. */
  http: Place | null
  /** How long files of aborted sectors are kept once the manager knows. */
  quarantineMs: number
  /** What may be a mistake, though nothing is wrong enough to stop for. */
  warnings: string[]
}

/**
 * Theirs is 0.0.0.0; ours is this machine only, since whoever reaches the port can abort sectors. Another
 * host needs a token.
 */
export const RPC_HOST = '127.0.0.1'
export const RPC_PORT = 17_890
const METRICS_PLACE = '0.0.0.0:9000'
const METRICS_PORT = 9_000
const PING_INTERVAL_MS = 30_000
const DATA_DIRECTORY = '.sealing'
const HTTP_PORT = 9_801
const GROUP = 'sealing'
const QUARANTINE_MS = 7 * 86_400_000
const FILE_BYTES_MAX = 1_048_576

/** @throws TroupeError `invalid-config` naming the file and the key */
export function readWorkerConfig(file: string): WorkerConfig {
  const path = resolve(file)
  return parseWorkerConfig(textOf(path), path)
}

/** Of the text of a file. @throws TroupeError `invalid-config` */
export function parseWorkerConfig(text: string, file: string): WorkerConfig {
  const { toml, warnings } = readToml(workerToml, text, file)
  try {
    return configOf(toml, file, warnings)
  } catch (thrown) {
    if (!(thrown instanceof TroupeError)) throw thrown
    throw new TroupeError('invalid-config', `${file}: ${thrown.message}`)
  }
}

/** @throws TroupeError `invalid-config` */
export function readToml<TSchema extends z.ZodType>(
  schema: TSchema,
  text: string,
  file: string,
): { toml: z.output<TSchema>; warnings: string[] } {
  const table = tableOf(text, file)
  const unknown = takeUnknownKeys(schema, table)
  const mistyped = unknown
    .filter(({ near }) => near !== undefined)
    .map(({ path, near }) => `${path}: no such key; did you mean "${near}"?`)
  const { data, error } = schema.safeParse(table)
  const wrong = (error?.issues ?? []).map(({ path, message }) => `${pathText(path)}: ${message}`)
  if (data === undefined || mistyped.length > 0) {
    throw new TroupeError(
      'invalid-config',
      [...mistyped, ...wrong].map((why) => `${file}: ${why}`).join('\n'),
    )
  }
  const warnings = unknown.map(({ path }) => `${path}: no such key; it is left out`)
  return { toml: data, warnings }
}

function tableOf(text: string, file: string): Record<string, unknown> {
  try {
    return parse(text)
  } catch (thrown) {
    if (!(thrown instanceof TomlError)) throw thrown
    const why = thrown.message.split('\n', 1)[0]
    const where = `${file}:${thrown.line}:${thrown.column}`
    throw new TroupeError('invalid-config', `${where}: ${why}`)
  }
}

function textOf(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.byteLength <= FILE_BYTES_MAX) return bytes.toString('utf8')
  } catch (cause) {
    const why = `cannot read ${path}: ${(cause as Error).message}`
    throw new TroupeError('invalid-config', why, { cause })
  }
  throw new TroupeError('invalid-config', `${path} has more than 1 MiB: is it a worker.toml?`)
}

function configOf(toml: WorkerToml, file: string, warnings: string[]): WorkerConfig {
  const { worker = {}, metrics = {}, sector_manager: manager, attached = [], troupe = {} } = toml
  const piecesDirs = [worker.local_pieces_dir, ...(worker.local_pieces_dirs ?? [])]
  const processors = processorsOf(toml.processors, warnings)
  if ((worker.scan_persist_stores ?? []).length > 0)
    warnings.push('worker.scan_persist_stores: not looked through; name stores as [[attached]]')
  return {
    file,
    name: worker.name ?? null,
    rpcServer: rpcServerOf(worker.rpc_server),
    pingIntervalMs: worker.ping_interval ?? PING_INTERVAL_MS,
    localPiecesDirs: piecesDirs.flatMap((one) => (one === undefined ? [] : [resolve(one)])),
    metrics:
      metrics.enable === true
        ? parsePlace(metrics.http_listen ?? METRICS_PLACE, METRICS_PORT)
        : null,
    manager: {
      addr: manager.rpc_client.addr,
      headers: manager.rpc_client.headers ?? {},
      pieceToken: manager.piece_token ?? null,
    },
    shared: toml.sealing,
    threads: threadsOf(toml),
    attached: attached.map(({ name, location, readonly = false }) => ({
      name: name ?? location,
      location: resolve(location),
      isReadonly: readonly,
    })),
    processors,
    data: resolve(troupe.data ?? DATA_DIRECTORY),
    cluster: clusterOf(troupe),
    http: httpOf(troupe),
    quarantineMs: troupe.quarantine ?? QUARANTINE_MS,
    warnings,
  }
}

function rpcServerOf(
  given: NonNullable<WorkerToml['worker']>['rpc_server'],
): WorkerConfig['rpcServer'] {
  const { host = RPC_HOST, port = RPC_PORT, token_file: tokenFile } = given ?? {}
  if (!isLoopback(host) && tokenFile === undefined) {
    const why = `worker.rpc_server.host: ${host} can be reached from elsewhere, and whoever reaches it may abort sectors: name a file with a secret in worker.rpc_server.token_file, or use ${RPC_HOST}`
    throw new TroupeError('invalid-config', why)
  }
  return { host, port, tokenFile: tokenFile === undefined ? null : resolve(tokenFile) }
}

/** Nobody signs in there. */
function httpOf({ http, nats }: NonNullable<WorkerToml['troupe']>): Place | null {
  if (http === undefined) return null
  const place = parsePlace(http, HTTP_PORT)
  if (!isLoopback(place.host)) {
    const why = `troupe.http: ${place.host} can be reached from elsewhere; use 127.0.0.1, and a tunnel`
    throw new TroupeError('invalid-config', why)
  }
  if (nats === undefined) return place
  const why = 'troupe.http: threads live on the nodes of the cluster: ask one of them'
  throw new TroupeError('invalid-config', why)
}

function clusterOf(troupe: NonNullable<WorkerToml['troupe']>): WorkerConfig['cluster'] {
  const { nats, cluster = 'troupe', group = GROUP, worker } = troupe
  if (nats === undefined) return null
  const servers = Array.isArray(nats) ? nats : nats.split(',').map((server) => server.trim())
  const access = natsOf(servers, troupe)
  const workerNats = worker === undefined ? access : natsOf(servers, worker)
  return { name: cluster, nats: access, workerNats, group }
}

interface NatsUser {
  user?: string | undefined
  password_file?: string | undefined
  creds?: string | undefined
  inbox_prefix?: string | undefined
}

function natsOf(
  servers: readonly string[],
  { user, password_file, creds, inbox_prefix: inboxPrefix }: NatsUser,
): NatsOptions {
  return {
    servers,
    ...(user === undefined ? {} : { user }),
    ...(password_file === undefined ? {} : { passwordFile: resolve(password_file) }),
    ...(creds === undefined ? {} : { credsFile: resolve(creds) }),
    ...(inboxPrefix === undefined ? {} : { inboxPrefix }),
  }
}

function threadsOf({ sealing: shared, sealing_thread: threads = [] }: WorkerToml): ThreadConfig[] {
  const places = new Map<string, number>()
  const names = new Map<string, number>()
  return threads.map(({ location, name, plan = 'sealer', sealing: own }, index) => {
    const canonical = plan === 'wdpost' ? null : locationOf(location, index)
    claim(places, canonical, index, 'location', 'the same directory as')
    const called = name ?? (canonical === null ? `wdpost-${index}` : defaultName(canonical))
    claim(names, called, index, 'name', 'the same name as')
    const settings = settingsOf(shared, own)
    return { index, name: called, plan, location: canonical, settings, own }
  })
}

/** One thread has it: a second one is refused rather than left out, which would shift those behind it. */
function claim(
  taken: Map<string, number>,
  value: string | null,
  index: number,
  key: string,
  words: string,
): void {
  if (value === null) return
  const first = taken.get(value)
  if (first !== undefined) {
    const why = `sealing_thread[${index}].${key} is ${words} sealing_thread[${first}].${key}: ${value}`
    throw new TroupeError('invalid-config', why)
  }
  taken.set(value, index)
}

function locationOf(location: string | undefined, index: number): string {
  if (location !== undefined) return canonicalPath(location)
  const why = `sealing_thread[${index}].location: missing; only the plan wdpost needs no directory`
  throw new TroupeError('invalid-config', why)
}

/** Also of what does not exist yet: then of the part of it that does. */
export function canonicalPath(path: string): string {
  const absolute = resolve(path)
  try {
    return realpathSync(absolute)
  } catch {
    const parent = dirname(absolute)
    return parent === absolute ? absolute : join(canonicalPath(parent), basename(absolute))
  }
}

const HASH_CHARS = 6
const BASE_CHARS_MAX = 40

function defaultName(canonical: string): string {
  const base = basename(canonical)
    .replace(/[^\w.-]/g, '-')
    .replace(/^[^0-9A-Za-z]+/, '')
  const hash = createHash('sha256').update(canonical).digest('hex').slice(0, HASH_CHARS)
  return `${base.slice(0, BASE_CHARS_MAX) || 'store'}-${hash}`
}
