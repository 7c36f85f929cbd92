/**
 * What a node is started with. Decides: flags win over the file, the file over the defaults.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import {
  type Config,
  type ConfigLines,
  configLines,
  DEFAULT_CONFIG,
  isNodeName,
  type Limits,
  type ListenerConfig,
  LOG_LEVELS,
  type LogLevelName,
  parseConfig,
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
}

export interface Settings {
  name: string
  cluster: string
  data: string
  host: string
  port: number
  users: UserConfig[]
  listeners: ListenerConfig[]
  limits: Partial<Limits>
  worker: { slots: number; queues?: string[] }
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
  const defaults = DEFAULT_CONFIG
  const queues = file.worker?.queues
  return {
    name: flags.name ?? file.name ?? nameOfHost(host),
    cluster: file.cluster ?? defaults.cluster,
    data: resolve(cwd, flags.data ?? file.data ?? defaults.data),
    host: http.host ?? file.http?.host ?? defaults.http.host,
    port: http.port ?? file.http?.port ?? defaults.http.port,
    users: usersOf(file.http?.users ?? [], cwd),
    listeners: file.listeners ?? [],
    limits: file.limits ?? {},
    worker: { slots: file.worker?.slots ?? defaults.worker.slots, ...(queues ? { queues } : {}) },
    logLevel: levelOf(flags.logLevel) ?? file.log?.level ?? defaults.log.level,
    apps: file.apps ?? {},
    locate: (thrown) => (found ? locate(thrown, found, flags) : thrown),
  }
}

/** `<path>: <what>`, as whoever judges a setting behind the schema says it. */
const MISTAKE = /^([A-Za-z][\w-]*(?:\.[\w-]+)*): /

/** What a flag has set does not stand in the file. */
function isFlagged([first, second]: readonly string[], flags: StartFlags): boolean {
  if (first === 'http') return flags.http !== undefined && second !== 'users'
  if (first === 'log') return flags.logLevel !== undefined
  return (first === 'data' || first === 'name') && flags[first] !== undefined
}

function locate(thrown: unknown, { name, lines }: ConfigFile, flags: StartFlags): unknown {
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

/** Paths in the file begin at the working directory, as that of the data does. */
function usersOf(users: readonly UserConfig[], cwd: string): UserConfig[] {
  return users.map((user) =>
    user.tokenFile === undefined ? user : { ...user, tokenFile: resolve(cwd, user.tokenFile) },
  )
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
