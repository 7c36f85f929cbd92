/**
 * What a node is started with. Decides: flags win over the file, the file over the defaults.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import type { ClusterAccess } from '../node/index.ts'
import {
  type Config,
  type ConfigLines,
  configLines,
  DEFAULT_CONFIG,
  type HeapName,
  isNodeName,
  type Limits,
  type ListenerConfig,
  LOG_LEVELS,
  type LogLevelName,
  type NatsConfig,
  parseConfig,
  SHARDS_MAX,
  type TlsConfig,
  TroupeError,
  type UserConfig,
} from '../protocol/index.ts'
import { UsageError } from './exit-codes.ts'

export interface StartFlags {
  data?: string
  http?: string
  name?: string
  config?: string
  logLevel?: string
  nats?: string
  cluster?: string
  shards?: string
  replace?: boolean
}

export interface Settings {
  name: string
  cluster: string
  data: string
  /** Undefined where nothing is said of it: then data keep the number that they have. */
  shards?: number
  host: string
  port: number
  users: UserConfig[]
  tls?: TlsConfig
  trustedProxies: string[]
  listeners: ListenerConfig[]
  limits: Partial<Limits>
  worker: { slots: number; queues?: string[] }
  /** Undefined for a node that has everything to itself. */
  nats?: ClusterAccess
  heap: HeapName
  logLevel: LogLevelName
  apps: Record<string, unknown>
  /** Adds the line of the file to an error that names a setting of it. */
  locate: (thrown: unknown) => unknown
}

/** A configuration and where it stands. */
export interface ConfigFile {
  config: Config
  /** As it was given. */
  name: string
  lines: ConfigLines
}

/** @throws UsageError for a flag @throws TroupeError `invalid-config` for the file */
export function settingsOf(flags: StartFlags, cwd: string, host = hostname()): Settings {
  const found = configFileOf(flags, cwd)
  const file = found?.config ?? {}
  const http: { host?: string; port?: number } =
    flags.http === undefined ? {} : readHttp(flags.http)
  if (flags.name !== undefined && !isNodeName(flags.name)) {
    throw new UsageError(
      `--name: "${flags.name}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`,
    )
  }
  if (flags.cluster !== undefined && !isNodeName(flags.cluster)) {
    throw new UsageError(
      `--cluster: "${flags.cluster}" is not a letter or digit and at most 63 letters, digits, "_" or "-"`,
    )
  }
  const defaults = DEFAULT_CONFIG
  const queues = file.worker?.queues
  return {
    name: flags.name ?? file.name ?? nameOfHost(host),
    cluster: flags.cluster ?? file.cluster ?? defaults.cluster,
    data: resolve(cwd, flags.data ?? file.data ?? defaults.data),
    ...shardsOf(flags, file),
    host: http.host ?? file.http?.host ?? defaults.http.host,
    port: http.port ?? file.http?.port ?? defaults.http.port,
    users: usersOf(file.http?.users ?? [], cwd),
    ...tlsOf(file.http, cwd),
    trustedProxies: file.http?.trustedProxies ?? [],
    listeners: (file.listeners ?? []).map((one) => ({ ...one, ...tlsOf(one, cwd) })),
    limits: file.limits ?? {},
    worker: { slots: file.worker?.slots ?? defaults.worker.slots, ...(queues ? { queues } : {}) },
    ...natsOf(found, flags, cwd),
    heap: file.heap ?? defaults.heap,
    logLevel: levelOf(flags.logLevel) ?? file.log?.level ?? defaults.log.level,
    apps: file.apps ?? {},
    locate: (thrown) => (found ? locate(thrown, found, flags) : thrown),
  }
}

/** `<path>: <what>`, as whoever judges a setting behind the schema says it. */
const MISTAKE = /^([A-Za-z][\w-]*(?:\.[\w-]+)*): /

/** What a flag has set does not stand in the file. */
function isFlagged([first, second]: readonly string[], flags: StartFlags): boolean {
  if (first === 'http') return flags.http !== undefined && (second === 'host' || second === 'port')
  if (first === 'log') return flags.logLevel !== undefined
  if (first === 'nats') return flags.nats !== undefined && second === 'servers'
  const isSingle = first === 'data' || first === 'name' || first === 'cluster' || first === 'shards'
  return isSingle && flags[first] !== undefined
}

/** Adds the line of the file to an error that names a setting of it. */
export function locate(thrown: unknown, { name, lines }: ConfigFile, flags: StartFlags): unknown {
  if (!(thrown instanceof TroupeError) || thrown.code !== 'invalid-config') return thrown
  const located = thrown.message.split('\n').map((mistake) => {
    const path = MISTAKE.exec(mistake)?.[1]?.split('.')
    const line = path && !isFlagged(path, flags) ? lines.nearest(path) : undefined
    return line === undefined ? mistake : `${name}:${line}: ${mistake}`
  })
  const { detail } = thrown
  return new TroupeError('invalid-config', located.join('\n'), { cause: thrown, detail })
}

/** @throws TroupeError `invalid-config` */
export function configFileOf({ config }: StartFlags, cwd: string): ConfigFile | undefined {
  return config === undefined ? undefined : readConfig(resolve(cwd, config), config)
}

/** @throws UsageError */
function shardsOf({ shards: text }: StartFlags, file: Config): { shards?: number } {
  if (text === undefined) return file.shards === undefined ? {} : { shards: file.shards }
  const shards = /^\d{1,9}$/.test(text) ? Number(text) : 0
  if (shards >= 1 && shards <= SHARDS_MAX) return { shards }
  throw new UsageError(`--shards: "${text}" is not a whole number from 1 to ${SHARDS_MAX}`)
}

/** Paths in the file begin at the working directory, as that of the data does. */
function usersOf(users: readonly UserConfig[], cwd: string): UserConfig[] {
  return users.map((user) =>
    user.tokenFile === undefined ? user : { ...user, tokenFile: resolve(cwd, user.tokenFile) },
  )
}

/** @throws UsageError @throws TroupeError `invalid-config` */
function natsOf(
  found: ConfigFile | undefined,
  flags: StartFlags,
  cwd: string,
): { nats?: ClusterAccess } {
  const { replace = false } = flags
  const nats = natsAccessOf(found, flags, cwd)
  if (nats) return { nats: { ...nats, replace } }
  if (replace) throw new UsageError('--replace: only a node of a cluster has a name to take over')
  return {}
}

/**
 * Where NATS is and who we are there; undefined where nothing is said of it.
 * @throws UsageError @throws TroupeError `invalid-config`
 */
export function natsAccessOf(
  found: ConfigFile | undefined,
  flags: StartFlags,
  cwd: string,
): NatsConfig | undefined {
  const { nats } = flags
  const file: Partial<NatsConfig> | undefined = found?.config.nats
  if (!file && nats === undefined) return undefined
  const servers = nats?.split(',').filter((one) => one !== '') ?? file?.servers
  if (!servers || servers.length === 0) {
    if (nats !== undefined) throw new UsageError('--nats: name a server: nats://127.0.0.1:4222')
    const why = 'nats: servers is missing: name one, or use --nats'
    throw locate(new TroupeError('invalid-config', why), found!, flags)
  }
  const { tls, ...rest } = file ?? {}
  const signIn = { ...rest, ...(tls && { tls: inDirectory(tls, cwd) }) }
  return { ...inDirectory(signIn, cwd), servers }
}

/** Whatever names a file, made independent of the working directory. */
function inDirectory<T extends object>(section: T, cwd: string): T {
  const entries = Object.entries(section).map(([key, value]: [string, unknown]) => [
    key,
    key.endsWith('File') && typeof value === 'string' ? resolve(cwd, value) : value,
  ])
  return Object.fromEntries(entries) as T
}

function tlsOf({ tls }: { tls?: TlsConfig } = {}, cwd: string): { tls?: TlsConfig } {
  if (tls === undefined) return {}
  return { tls: { certFile: resolve(cwd, tls.certFile), keyFile: resolve(cwd, tls.keyFile) } }
}

function readConfig(path: string, shown: string): ConfigFile {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    const why =
      (cause as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'there is no such file'
        : (cause as Error).message
    throw new TroupeError('invalid-config', `--config ${shown}: ${why}`, { cause })
  }
  return { config: parseConfig(text, shown), name: shown, lines: configLines(text) }
}

/** `HOST:PORT`, `:PORT`, `PORT` or `[::1]:PORT`. */
function readHttp(text: string): { host?: string; port?: number } {
  const [, host, port] = /^(?:(\[[^\]]+\]|[^:]*):)?(\d{1,5})$/.exec(text) ?? []
  if (port === undefined || Number(port) > 65_535) {
    throw new UsageError(
      `--http: "${text}" is not HOST:PORT, such as 127.0.0.1:9800 (port 0 takes a free one)`,
    )
  }
  const name = host?.replace(/^\[(.*)\]$/, '$1')
  return name === undefined || name === ''
    ? { port: Number(port) }
    : { host: name, port: Number(port) }
}

function levelOf(text: string | undefined): LogLevelName | undefined {
  if (text === undefined) return undefined
  const level = LOG_LEVELS.find((one) => one === text)
  if (!level) throw new UsageError(`--log-level: "${text}" is not one of: ${LOG_LEVELS.join(', ')}`)
  return level
}

export function nameOfHost(host: string): string {
  const name = host
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, 64)
  return isNodeName(name) ? name : 'node'
}
