/**
 * The configuration of a node: YAML text in, checked values out. Decides: the sections, their types
 * and defaults, and that every error names its line, its path and what is wanted. Leaves to others:
 * reading the file (cli) and the sections of apps (each app's own schema).
 */
import { type Document, LineCounter, parseDocument, visit } from 'yaml'
import { z } from 'zod'
import {
  type HttpConfig,
  httpShape,
  type ListenerConfig,
  listenerShape,
  listeners,
  text,
  tlsShape,
  type UserConfig,
  userShape,
} from './config-http.ts'
import { lineOf } from './config-lines.ts'
import { type NatsConfig, natsSection, natsShape, natsTlsShape } from './config-nats.ts'
import { TroupeError } from './errors.ts'
import { DEFAULT_LIMITS, type Limits, resolveLimits } from './limits.ts'

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const
export type LogLevelName = (typeof LOG_LEVELS)[number]

/** What a file says; everything is optional, and what is absent has the default of `DEFAULT_CONFIG`. */
export interface Config {
  /** Of this node. The default is made from the host's name. */
  name?: string
  cluster?: string
  /** The data directory; relative paths are relative to the working directory. */
  data?: string
  /** Of data, or of a cluster, that is made now: what is there keeps its number, and another is refused. */
  shards?: number
  http?: HttpConfig
  /** Further addresses, each for the routes of one app. */
  listeners?: ListenerConfig[]
  /** The node is one of a cluster. Default: it has everything to itself. */
  nats?: Partial<NatsConfig>
  limits?: Partial<Limits>
  worker?: { slots?: number; queues?: string[] }
  log?: { level?: LogLevelName }
  /** By the name of the app; each is checked by the app's own schema. */
  apps?: Record<string, unknown>
}

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
  log: Object.freeze({ level: 'info' as LogLevelName }),
  apps: Object.freeze({}),
})

/**
 * Each is a stream in NATS, and is asked by every list. Two bytes of each key would have room for more, but
 * what a view of more costs its readers was not worked out.
 */
export const SHARDS_MAX = 4_096

/** Names of nodes and clusters stand in subjects and file names. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
export function isNodeName(name: string): boolean {
  return NAME.test(name)
}

const name = z.string({ error: 'a text' }).regex(NAME, {
  error: 'a name of a letter or digit and at most 63 letters, digits, "_" or "-"',
})
const positive = z
  .int({ error: 'a whole number from 1' })
  .min(1, { error: 'a whole number from 1' })
const section = <TShape extends z.ZodRawShape>(shape: TShape) =>
  z.strictObject(shape, { error: 'a section of keys and values' }).partial()

const SHARDS_WANTED = `a whole number from 1 to ${SHARDS_MAX}`
const shards = z
  .int({ error: SHARDS_WANTED })
  .min(1, { error: SHARDS_WANTED })
  .max(SHARDS_MAX, { error: SHARDS_WANTED })

const limitShape = Object.fromEntries(Object.keys(DEFAULT_LIMITS).map((key) => [key, positive]))
const LEVEL_WANTED = `one of: ${LOG_LEVELS.join(', ')}`
const SCHEMA = section({
  name,
  cluster: name,
  data: text,
  shards,
  http: section(httpShape),
  listeners,
  nats: natsSection,
  limits: section(limitShape),
  worker: section({
    slots: positive,
    queues: z.array(text, { error: 'a list of names of queues' }),
  }),
  log: section({ level: z.enum(LOG_LEVELS, { error: LEVEL_WANTED }) }),
  apps: z.record(z.string(), z.unknown(), { error: 'a section per app, by its name' }),
})

/**
 * @param source what errors call the text: the name of its file
 * @throws TroupeError `invalid-config`, one line per mistake: `<source>:<line>: <path>: <what>`
 */
export function parseConfig(yaml: string, source: string): Config {
  const lines = new LineCounter()
  const document = parseDocument(yaml, { lineCounter: lines, prettyErrors: false, version: '1.2' })
  const broken = document.errors[0]
  if (broken) {
    const { line } = lines.linePos(broken.pos[0])
    throw invalid([`${source}:${line}: not YAML: ${broken.message}`])
  }
  const value: unknown = plainOf(document, lines, source)
  // A file of comments only is an empty configuration.
  if (value === null || value === undefined) return {}
  const result = SCHEMA.safeParse(value)
  if (!result.success) {
    throw invalid(
      result.error.issues.flatMap((issue) => describe(issue, value, document, lines, source)),
    )
  }
  const config = result.data as Config
  checkRelations(config, document, lines, source)
  return config
}

function plainOf(document: Document, lines: LineCounter, source: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 })
  } catch (cause) {
    // Only an alias can fail, and it does not say which: the first is as good as any.
    let line = 1
    visit(document, {
      Alias: (_key, { range }) => {
        line = range ? lines.linePos(range[0]).line : 1
        return visit.BREAK
      },
    })
    throw invalid([`${source}:${line}: aliases: ${(cause as Error).message}`])
  }
}

function invalid(mistakes: readonly string[]): TroupeError {
  return new TroupeError('invalid-config', mistakes.join('\n'), { detail: mistakes })
}

function describe(
  issue: z.core.$ZodIssue,
  value: unknown,
  document: Document,
  lines: LineCounter,
  source: string,
): string[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const path = [...issue.path, key]
      const known = knownKeys(issue.path.map(String))
      const near = nearest(key, known)
      const hint = near === undefined ? '' : `; did you mean "${near}"?`
      const place = `${source}:${lineOf(document, lines, path)}: ${path.join('.')}`
      return `${place}: there is no such setting${hint} (known are: ${known.join(', ')})`
    })
  }
  const path = issue.path.length === 0 ? 'the file' : issue.path.join('.')
  const got = issue.path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown>)?.[key],
    value,
  )
  const line = lineOf(document, lines, issue.path)
  // Where a hash is wanted somebody may have written the token.
  const isSecret = issue.path.at(-1) === 'tokenSha256'
  const not = isSecret ? 'what stands there' : shown(got)
  return [`${source}:${line}: ${path}: wanted is ${issue.message}, not ${not}`]
}

function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? String(value)
  return json.length > 60 ? `${json.slice(0, 57)}...` : json
}

function knownKeys(path: readonly string[]): string[] {
  const shapes: Record<string, z.ZodRawShape> = {
    '': SCHEMA.shape,
    http: httpShape,
    'http.tls': tlsShape,
    'http.users.*': userShape,
    'listeners.*': listenerShape,
    'listeners.*.tls': tlsShape,
    nats: natsShape,
    'nats.tls': natsTlsShape,
    limits: limitShape,
    worker: SCHEMA.shape.worker.unwrap().shape,
    log: SCHEMA.shape.log.unwrap().shape,
  }
  return Object.keys(shapes[path.join('.').replace(/\.\d+(?=\.|$)/g, '.*')] ?? {})
}

/** Limits depend on each other; the error names the section. */
function checkRelations(
  config: Config,
  document: Document,
  lines: LineCounter,
  source: string,
): void {
  try {
    resolveLimits(config.limits)
  } catch (thrown) {
    const line = lineOf(document, lines, ['limits'])
    const why = (thrown as Error).message.replace(/^limits: /, '')
    throw invalid([`${source}:${line}: limits: ${why}`])
  }
}

/** The known name that a mistyped one probably means; undefined when none is close. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  // Two changes at least: letters that changed places are two.
  const most = name.length < 4 ? 1 : Math.max(2, Math.floor(name.length / 3))
  let best: { one: string; distance: number } | undefined
  for (const one of known) {
    const distance = editDistance(name.toLowerCase().slice(0, 64), one.toLowerCase())
    if (distance <= most && (!best || distance < best.distance)) best = { one, distance }
  }
  return best?.one
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, swap))
    }
    row = next
  }
  return row[b.length] ?? 0
}
