/**
 * What a node is started with. Decides: flags win over the file, the file over the defaults.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import {
  type Config,
  DEFAULT_CONFIG,
  isNodeName,
  type Limits,
  LOG_LEVELS,
  type LogLevelName,
  parseConfig,
  TroupeError,
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
  limits: Partial<Limits>
  worker: { slots: number; queues?: string[] }
  logLevel: LogLevelName
  apps: Record<string, unknown>
}

/** @throws UsageError for a flag @throws TroupeError `invalid-config` for the file */
export function settingsOf(flags: StartFlags, cwd: string, host = hostname()): Settings {
  const file =
    flags.config === undefined ? {} : readConfig(resolve(cwd, flags.config), flags.config)
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
    limits: file.limits ?? {},
    worker: { slots: file.worker?.slots ?? defaults.worker.slots, ...(queues ? { queues } : {}) },
    logLevel: levelOf(flags.logLevel) ?? file.log?.level ?? defaults.log.level,
    apps: file.apps ?? {},
  }
}

function readConfig(path: string, shown: string): Config {
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
  return parseConfig(text, shown)
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

function nameOfHost(host: string): string {
  const name = host
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, 64)
  return isNodeName(name) ? name : 'node'
}
