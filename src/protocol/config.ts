/**
 * The configuration of a node: YAML text in, checked values out. Decides: the sections and their types, and
 * that every error names its line, its path and what is wanted. Leaves to others: the defaults
 * (`config-defaults.ts`), reading the file (cli) and the sections of apps (each app's own schema).
 */
import { type Document, LineCounter, parseDocument, visit } from 'yaml'
import { z } from 'zod'
import {
  HEAPS,
  type HeapName,
  LOG_LEVELS,
  type LogLevelName,
  NODE_NAME,
} from './config-defaults.ts'
import {
  type HttpConfig,
  httpShape,
  type ListenerConfig,
  listenerShape,
  listeners,
  text,
  tlsShape,
  userShape,
} from './config-http.ts'
import { lineOf } from './config-lines.ts'
import { type NatsConfig, natsSection, natsShape, natsTlsShape } from './config-nats.ts'
import { TroupeError } from './errors.ts'
import { DEFAULT_LIMITS, type Limits, resolveLimits } from './limits.ts'
import { nearest } from './nearest.ts'

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
  /** Of the process. */
  heap?: HeapName
  log?: { level?: LogLevelName }
  /** By the name of the app; each is checked by the app's own schema. */
  apps?: Record<string, unknown>
}

/**
 * Each is a stream in NATS, and is asked by every list. Two bytes of each key would have room for more, but
 * what a view of more costs its readers was not worked out.
 */
export const SHARDS_MAX = 4_096

const name = z.string({ error: 'a text' }).regex(NODE_NAME, {
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
  heap: z.enum(HEAPS, { error: `one of: ${HEAPS.join(', ')}` }),
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
