/**
 * The API for whoever can reach the transport: JSON in, JSON out, on subjects instead of paths.
 *
 *     troupe.<cluster>.actor.<machine>.<id>[.<child>…]    the event to send
 *     troupe.<cluster>.cmd.<verb>                         {"address":"job/42", …}
 *     troupe.<cluster>.admin.<verb>                       the same, with an administrator's rights
 *
 * Decides: which verb takes which fields, and the form of an answer, `{"ok":…}` or `{"error":…}`. Who may
 * use which subject is the transport's business: so what takes an administrator has subjects of its own,
 * and an author is whom the sender says it is. Operations and their rights are those of the paths
 * (actor-routes.ts, generic-paths.ts). All nodes share the requests.
 */
import type { Client, Told } from '../client/index.ts'
import { type TroupeNode, troupeVersion } from '../node/index.ts'
import type { Log, MessageHandler, Subscription } from '../ports/index.ts'
import {
  AUTHOR_LENGTH_MAX,
  canonicalAddress,
  type ErrorRecord,
  errorRecord,
  formatAddress,
  type Limits,
  machineOf,
  type Operation,
  type Role,
  TroupeError,
  toErrorRecord,
  toJson,
} from '../protocol/index.ts'
import { ACTOR_ACTIONS, type ActorAction, answerActor, eventOf } from './actor-routes.ts'
import { callOptionsOf, type Exchange } from './exchange.ts'
import { LISTS } from './generic-paths.ts'
import { isPlainJson, readJson, readJsonText, textOf as utf8Of } from './json.ts'
import { unknownName } from './parameters.ts'
import { ServiceEndpoint, serveServiceInfo } from './service-info.ts'

export interface SubjectRequestsOptions {
  node: TroupeNode
  /** Default: the node's. */
  log?: Log
  /** Requests under way at once; more are told `busy`. Default 4,096: what a node answers in some 200 ms. */
  requestsMax?: number
  /** Larger answers become errors. Default 1,000 KiB: NATS carries 1 MiB unless it is told otherwise. */
  answerBytesMax?: number
}

export interface SubjectRequests {
  /** Takes no more; resolves when those under way are answered. */
  close(): Promise<void>
}

const REQUESTS_MAX = 4_096
const ANSWER_BYTES_MAX = 1_000 * 1_024
/** Members of it share the requests. */
const QUEUE = 'gateway'
const AUTHOR_DEFAULT = 'transport'
const UNHEARD = 'what was told without waiting for an answer was refused'

/** Verbs that are not called like the last part of a path. */
const ACTOR_METHODS: Readonly<Record<string, string>> = {
  start: 'POST',
  get: 'GET',
  patch: 'PATCH',
  delete: 'DELETE',
}
/** The field that holds what is the whole body of a path. */
const BODY_FIELDS = { input: 'input', event: 'event', patch: 'merge' } as const
const COMMON_FIELDS = ['id', 'timeoutMs', 'durability', 'author']

type Answerer = (request: Request) => Promise<unknown>
type Fields = Readonly<Record<string, unknown>>

interface Request {
  fields: Fields
  role: Role
}

export function serveSubjects(options: SubjectRequestsOptions): SubjectRequests {
  const { node, log = node.log } = options
  const { transport, subjects, clock } = node
  const verbs = verbsOf(node, log)
  const sender = node.client.as(AUTHOR_DEFAULT)
  const byVerb = (role: Role): Handler => {
    return (subject, payload, told) => {
      const verb = subject.slice(subject.lastIndexOf('.') + 1)
      const answer = verbs.get(verb)
      if (!answer) throw new TroupeError('not-found', unknownName('verb', verb, [...verbs.keys()]))
      const body = payload.length === 0 ? undefined : readJson(payload)
      answer({ fields: fieldsOf(body), role }).then(told.resolve, (thrown) => {
        const isForbidden = thrown instanceof TroupeError && thrown.code === 'forbidden'
        const why = `this takes the subject ${subjects.admin(verb)}`
        told.reject(isForbidden ? new TroupeError('forbidden', why) : thrown)
      })
    }
  }
  const desk = new Desk(options, log)
  const subscriptions = [
    desk.serve('actor', subjects.actors(), (subject, payload, told) =>
      sendTo(sender, node, addressIn(subject, node.limits), payload, told),
    ),
    desk.serve('cmd', subjects.command('*'), byVerb('operate')),
    desk.serve('admin', subjects.admin('*'), byVerb('admin')),
    serveServiceInfo({
      ...{ transport, clock, endpoints: desk.endpoints, version: troupeVersion() },
      name: 'troupe',
      id: `${node.cluster}-${node.name}`,
      description: 'Durable actors: JSON in, JSON out',
      metadata: { cluster: node.cluster, node: node.name },
    }),
  ]
  return {
    close: async () => {
      for (const subscription of subscriptions) subscription.unsubscribe()
      await desk.done()
    },
  }
}

/** Tells the answer once, later than the call; or throws. */
type Handler = (subject: string, payload: Uint8Array, told: Told) => void

type Message = Parameters<MessageHandler>[0]
type Answer = { ok: unknown } | { error: ErrorRecord }

/** What is under way, of all subjects. */
class Desk {
  readonly endpoints: ServiceEndpoint[] = []
  readonly #node: TroupeNode
  readonly #log: Log
  readonly #requestsMax: number
  readonly #answerBytesMax: number
  #underWay = 0
  /** Told when nothing is under way. */
  #idle: (() => void) | undefined

  constructor({ node, requestsMax, answerBytesMax }: SubjectRequestsOptions, log: Log) {
    this.#node = node
    this.#log = log
    this.#requestsMax = requestsMax ?? REQUESTS_MAX
    this.#answerBytesMax = answerBytesMax ?? ANSWER_BYTES_MAX
  }

  serve(name: string, pattern: string, handle: Handler): Subscription {
    const endpoint = new ServiceEndpoint(name, pattern, QUEUE)
    this.endpoints.push(endpoint)
    return this.#node.transport.subscribe(pattern, { queue: QUEUE }, (message) => {
      const max = this.#requestsMax
      if (this.#underWay >= max) {
        const error = errorRecord('busy', `${max} requests are under way (requestsMax)`)
        message.reply?.(this.#bytesOf({ error }))
        return
      }
      this.#underWay += 1
      this.#begin(endpoint, message, handle)
    })
  }

  async done(): Promise<void> {
    if (this.#underWay === 0) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }

  #begin(endpoint: ServiceEndpoint, message: Message, handle: Handler): void {
    const { clock } = this.#node
    const beganAt = clock.monotonic()
    const answer = (given: Answer) => {
      const error = 'error' in given ? given.error : undefined
      endpoint.count(clock.monotonic() - beganAt, error)
      this.#answer(message, given)
    }
    const told: Told = {
      resolve: (ok) => answer({ ok: ok ?? null }),
      reject: (thrown) => answer({ error: toErrorRecord(thrown) }),
    }
    try {
      handle(message.subject, message.payload, told)
    } catch (thrown) {
      told.reject(thrown as Error)
    }
  }

  #answer({ subject, reply }: Message, answer: Answer): void {
    const error = 'error' in answer ? answer.error : undefined
    if (error?.code === 'internal') this.#log.error({ subject, error }, 'a request failed')
    try {
      if (reply) reply(this.#bytesOf(answer))
      else if (error) this.#log.warn({ subject, error }, UNHEARD)
    } finally {
      this.#underWay -= 1
      if (this.#underWay === 0) this.#idle?.()
    }
  }

  #bytesOf(answer: object): Buffer {
    const bytes = Buffer.from(toJson(answer))
    const bytesMax = this.#answerBytesMax
    return bytes.length > bytesMax ? tooLarge(bytes.length, bytesMax) : bytes
  }
}

/** NATS would not carry it, and whoever asked would wait for nothing. */
function tooLarge(bytes: number, bytesMax: number): Buffer {
  const why = `the answer has ${bytes} bytes, more than ${bytesMax} (answerBytesMax): ask for less, such as by "limit"`
  return Buffer.from(toJson({ error: errorRecord('too-large', why) }))
}

/** `troupe.<cluster>.actor.<machine>.<id>…` */
const ADDRESS_AT = 3

function addressIn(subject: string, limits: Limits): string {
  const [machine = '', id = '', ...children] = subject.split('.').slice(ADDRESS_AT)
  // As most are: nothing to decode, and what would have to be encoded is found by the shape.
  if (children.length === 0 && !ENCODED.test(subject))
    return canonicalAddress(`${machine}/${id}`, limits)
  return formatAddress(decoded(machine), decoded(id), children.map(decoded), limits)
}

const ENCODED = /[%/]/

function decoded(token: string): string {
  try {
    return decodeURIComponent(token)
  } catch (cause) {
    const why = 'a percent sign must begin an escape such as %2F'
    throw new TroupeError('invalid-address', why, { cause })
  }
}

/** The short way for most of what is sent: one text, read once, and nobody else's. */
function sendTo(
  sender: Client,
  node: TroupeNode,
  address: string,
  payload: Uint8Array,
  told: Told,
): void {
  if (node.machines.get(machineOf(address))?.definition.role === 'admin') {
    const why = `${machineOf(address)} is changed by administrators only: send to it by the admin subjects`
    throw new TroupeError('forbidden', why)
  }
  const text = utf8Of(payload)
  const again = (): Operation => {
    return { op: 'send', event: eventOf(payload.length === 0 ? undefined : readJsonText(text)) }
  }
  const plain = isPlainJson(text) ? { bytes: payload.length, again } : undefined
  sender.submit(address, again(), { plain }, told)
}

function verbsOf(node: TroupeNode, log: Log): ReadonlyMap<string, Answerer> {
  const verbs = new Map<string, Answerer>()
  for (const [path, methods] of Object.entries(ACTOR_ACTIONS)) {
    for (const [method, action] of Object.entries(methods)) {
      const verb =
        path === '' ? Object.keys(ACTOR_METHODS).find((v) => ACTOR_METHODS[v] === method) : path
      if (verb) verbs.set(verb, actorVerb(node, log, path, method, action))
    }
  }
  for (const { path, query, ask } of LISTS) {
    const verb = path === '/actors' ? 'list' : path.slice(1)
    const names = [...Object.keys(query), 'where']
    verbs.set(verb, async (request) => ask(node, exchangeOf('GET', request, names, names)))
  }
  return verbs
}

function actorVerb(
  node: TroupeNode,
  log: Log,
  verb: string,
  method: string,
  { query, body }: ActorAction,
): Answerer {
  const bodyField = typeof body === 'string' ? BODY_FIELDS[body] : undefined
  const inBody = typeof body === 'object' ? Object.keys(body) : []
  const inQuery = Object.keys(query)
  const known = ['address', ...inQuery, ...inBody, ...(bodyField ? [bodyField] : [])]
  return async (request) => {
    const { address } = request.fields
    if (typeof address !== 'string') {
      throw new TroupeError('malformed', 'the field "address" is missing, such as "job/42"')
    }
    const exchange = exchangeOf(method, request, known, inQuery)
    const { fields } = request
    exchange.body = () => (bodyField ? fields[bodyField] : partOf(fields, inBody))
    const actor = { address: canonicalAddress(address, node.limits), verb }
    return (await answerActor(node, actor, exchange, log)).body
  }
}

/** @param inQuery fields that a path has behind its question mark */
function exchangeOf(
  method: string,
  { fields, role }: Request,
  known: readonly string[],
  inQuery: readonly string[],
): Exchange {
  const unknown = Object.keys(fields).find(
    (name) => !known.includes(name) && !COMMON_FIELDS.includes(name),
  )
  if (unknown !== undefined) {
    const all = [...known, ...COMMON_FIELDS]
    throw new TroupeError('malformed', unknownName('field', unknown, all))
  }
  return {
    method,
    path: '',
    search: searchOf(partOf(fields, inQuery) ?? {}),
    access: { author: authorIn(fields), role },
    options: callOptionsOf(fields),
    body: () => undefined,
  }
}

function searchOf(fields: Fields): URLSearchParams {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(fields)) {
    if (name !== 'where') search.set(name, textOf(name, value))
    else {
      for (const [field, wanted] of Object.entries(fieldsOf(value))) {
        search.set(`where.${field}`, typeof wanted === 'string' ? toJson(wanted) : String(wanted))
      }
    }
  }
  return search
}

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  throw new TroupeError('malformed', `the field "${name}" must be a text, a number, true or false`)
}

function partOf(fields: Fields, names: readonly string[]): Fields | undefined {
  const part = Object.entries(fields).filter(([name]) => names.includes(name))
  return part.length === 0 ? undefined : Object.fromEntries(part)
}

function fieldsOf(body: unknown): Fields {
  if (body === undefined) return {}
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Fields
  throw new TroupeError('malformed', 'a request is a JSON object, such as {"address":"job/42"}')
}

function authorIn({ author = AUTHOR_DEFAULT }: Fields): string {
  if (
    typeof author === 'string' &&
    author.length <= AUTHOR_LENGTH_MAX &&
    !/[\p{C}]/u.test(author)
  ) {
    return author
  }
  const why = `the field "author" is a name of at most ${AUTHOR_LENGTH_MAX} printable characters`
  throw new TroupeError('malformed', why)
}
