/**
 * `troupe config print`: the configuration that `troupe start` would have with the same words. Decides:
 * how a setting and its origin are shown, and that nothing which looks like a secret is.
 */
import type { Command } from 'commander'
import { z } from 'zod'
import type { App } from '../node/index.ts'
import {
  ANONYMOUS_ROLE_DEFAULT,
  DEFAULT_CONFIG,
  type ListenerConfig,
  sectionsOf,
} from '../protocol/index.ts'
import { type ConfigFile, configFileOf, type StartFlags, settingsOf } from './settings.ts'
import { oneLine } from './text.ts'
import { loadUserApps } from './user-apps.ts'
import type { AddVerb, Flags, LoadApps } from './verbs.ts'

interface Setting {
  path: readonly string[]
  value: unknown
  /** `default`, `--flag`, or `<file>:<line>`. */
  from: string
}

const SECRET = /(?:token|secret|password|passphrase|credential|(?:^|[a-z_-])key)s?$|sha256$/i
const MASK = '***'
/** Not values that can be written, so they are shown as comments. */
const ALL_QUEUES = Symbol('those of all tasks of this node')
const NO_TLS = Symbol('none: this address speaks plain HTTP')
const NO_ZONE = Symbol('none: standbys are anywhere')
/** Of a node that joins a cluster; how it signs in has no default. */
const NATS_DEFAULTS = { servers: [], replicas: 1, zone: NO_ZONE, weight: 1 }

export function addConfigVerbs(config: Command, add: AddVerb, apps: LoadApps): void {
  add(config, 'print', 'every setting, its value and where that comes from, as YAML', {
    local: true,
    options: [
      ['--config <file>', 'the configuration file'],
      ['--data <dir>', 'as for troupe start, like those that follow'],
      ['--listen <host:port>', 'what --http is to troupe start'],
      ['--name <name>', 'of the node'],
      ['--nats <url>', 'the servers of the cluster that it joins'],
      ['--cluster <name>', 'of that cluster'],
      ['--shards <count>', 'of data or of a cluster that is made now'],
      ['--log-level <level>', 'debug, info, warn, error or silent'],
      ['--app <file...>', 'modules of your own machines, for their sections'],
    ],
    examples: [
      'troupe config print',
      'troupe config print --config /etc/troupe.yaml --json',
      'troupe config print --nats nats://10.0.0.1:4222 --cluster main',
    ],
    run: async (session, _words, given) => {
      const { cwd } = session.terminal
      const flags = startFlagsOf(given)
      const files = (given['app'] as string[] | undefined) ?? []
      const all = [...(await apps()), ...(await loadUserApps(files, cwd))]
      const settings = settingsOf(flags, cwd)
      try {
        sectionsOf(all, settings.apps)
      } catch (thrown) {
        throw settings.locate(thrown)
      }
      const found = settingsWithOrigin(flags, configFileOf(flags, cwd), all, settings)
      const shown = found.map((one) => ({
        ...one,
        value: masked(one.path.at(-1) ?? '', one.value),
      }))
      const rows = shown.map(({ path, value, from }) => ({
        path: path.join('.'),
        value: typeof value === 'symbol' ? null : value,
        from,
      }))
      session.answer({ settings: rows }, () => yamlOf(shown))
    },
  })
}

function startFlagsOf(given: Flags): StartFlags {
  const flags: StartFlags = {}
  for (const name of ['data', 'name', 'config', 'logLevel', 'nats', 'cluster', 'shards'] as const) {
    const value = given[name]
    if (typeof value === 'string') flags[name] = value
  }
  if (typeof given['listen'] === 'string') flags.http = given['listen']
  return flags
}

function settingsWithOrigin(
  flags: StartFlags,
  file: ConfigFile | undefined,
  apps: readonly App[],
  settings: ReturnType<typeof settingsOf>,
): Setting[] {
  const { host, port, name, data, logLevel, cluster, nats } = settings
  const { limits, ...sections } = DEFAULT_CONFIG
  const defaults = {
    // Settings without a fixed default.
    name,
    ...sections,
    http: { ...sections.http, tls: NO_TLS },
    ...(nats && { nats: NATS_DEFAULTS }),
    worker: { ...sections.worker, queues: ALL_QUEUES },
    limits,
    apps: Object.fromEntries(
      apps.filter(({ config }) => config).map((app) => [app.name, inputDefaults(app)]),
    ),
  }
  const flagged = new Map<string, [value: unknown, flag: string]>()
  if (flags.name !== undefined) flagged.set('name', [name, '--name'])
  if (flags.data !== undefined) flagged.set('data', [data, '--data'])
  if (flags.cluster !== undefined) flagged.set('cluster', [cluster, '--cluster'])
  if (flags.shards !== undefined) flagged.set('shards', [settings.shards, '--shards'])
  if (flags.nats !== undefined) flagged.set('nats.servers', [nats?.servers, '--nats'])
  if (flags.logLevel !== undefined) flagged.set('log.level', [logLevel, '--log-level'])
  if (flags.http !== undefined) {
    if (host !== file?.config.http?.host) flagged.set('http.host', [host, '--listen'])
    flagged.set('http.port', [port, '--listen'])
  }
  const written = file?.config ?? {}
  const { listeners } = written
  const given = listeners ? { ...written, listeners: listeners.map(wholeListener) } : written
  const hostName = flags.name === undefined && file?.config.name === undefined
  return leavesOf(merged(defaults, given)).map(({ path, value }) => {
    const flag = flagged.get(path.join('.'))
    if (flag) return { path, value: flag[0], from: flag[1] }
    const line = file?.lines.own(path)
    if (line !== undefined) return { path, value, from: `${file?.name}:${line}` }
    return { path, value, from: path[0] === 'name' && hostName ? "the host's name" : 'default' }
  })
}

/** A list is one setting; what an entry leaves out shows in it. */
function wholeListener({ host, anonymous, ...rest }: ListenerConfig): ListenerConfig {
  const unknown = anonymous ? { anonymous, anonymousRole: ANONYMOUS_ROLE_DEFAULT } : {}
  return { host: host ?? DEFAULT_CONFIG.http.host, ...unknown, ...rest }
}

/** What an app's section is when nobody writes one, in the words that would be written. */
function inputDefaults(app: App): Record<string, unknown> {
  if (!app.config) return {}
  try {
    const schema = z.toJSONSchema(app.config, { io: 'input', unrepresentable: 'any' })
    return defaultsOf(schema as SchemaPart)
  } catch {
    // What JSON Schema cannot say is shown as far as the file says it.
    return {}
  }
}

interface SchemaPart {
  default?: unknown
  properties?: Record<string, SchemaPart> | undefined
}

function defaultsOf({ properties = {} }: SchemaPart): Record<string, unknown> {
  const found: Record<string, unknown> = {}
  for (const [name, part] of Object.entries(properties)) {
    if (part.default !== undefined) found[name] = part.default
    else if (part.properties) found[name] = defaultsOf(part)
  }
  return found
}

/** Sections become one; lists and values of the file take the place of the defaults. */
function merged(base: unknown, over: unknown): unknown {
  if (!isSection(base) || !isSection(over)) return over === undefined ? base : over
  const names = new Set([...Object.keys(base), ...Object.keys(over)])
  return Object.fromEntries([...names].map((name) => [name, merged(base[name], over[name])]))
}

function leavesOf(value: unknown, path: readonly string[] = []): Omit<Setting, 'from'>[] {
  if (!isSection(value) || (Object.keys(value).length === 0 && path.length > 0)) {
    return [{ path, value }]
  }
  return Object.entries(value).flatMap(([name, part]) => leavesOf(part, [...path, name]))
}

function isSection(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Whatever stands under a name that sounds like a secret, at any depth. */
function masked(name: string, value: unknown): unknown {
  if (SECRET.test(name) && value !== undefined && value !== null) return MASK
  if (Array.isArray(value)) return value.map((one) => masked('', one))
  if (!isSection(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, masked(key, part)]))
}

/** JSON values are YAML. */
function yamlOf(settings: readonly Setting[]): string[] {
  const lines: string[] = []
  let section: readonly string[] = []
  for (const { path, value, from } of settings) {
    const above = path.slice(0, -1)
    for (let depth = 0; depth < above.length; depth++) {
      const isOpen = section.slice(0, depth + 1).join('\0') === above.slice(0, depth + 1).join('\0')
      if (!isOpen) lines.push(`${'  '.repeat(depth)}${keyText(above[depth] ?? '')}:`)
    }
    section = above
    const key = keyText(path.at(-1) ?? '')
    const said =
      typeof value === 'symbol'
        ? `# ${key}: ${value.description}`
        : `${key}: ${JSON.stringify(value)}`
    const text = '  '.repeat(above.length) + said
    lines.push(`${oneLine(text)}  # ${oneLine(from)}`)
  }
  return lines
}

function keyText(key: string): string {
  return /^[A-Za-z][\w-]*$/.test(key) ? key : JSON.stringify(key)
}
