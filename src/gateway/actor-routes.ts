/**
 * `/troupe/v1/actors/<machine>/<id>…`: everything that can be asked of one actor. Decides: which
 * verb and method is which operation, and what its body and parameters are.
 */
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { TroupeNode } from '../node/index.ts'
import type { Log } from '../ports/index.ts'
import {
  type ActorView,
  type AddressText,
  type DryRunView,
  type EventObject,
  formatCommandId,
  machineOf,
  type Operation,
  type Role,
  TroupeError,
} from '../protocol/index.ts'
import { requireRole } from './access.ts'
import type { ActorPath } from './actor-paths.ts'
import type { Exchange } from './exchange.ts'
import { count, flag, readFields, readQuery } from './parameters.ts'
import { maskDryRun, maskView, secretsOf } from './secrets.ts'
import { wrongMethod } from './served.ts'
import { actorView, historyView, legalEventView, receiptView, turnView } from './view-schemas.ts'

export interface Reply {
  status: number
  body: unknown
  headers?: Readonly<Record<string, string>>
}

/** Of an answer: the id under which the history has the change. */
const COMMAND_ID = 'x-troupe-command-id'

/** Fields of an object, or what the machine says: its input, its events, a merge patch of its context. */
export type ActorBody = z.ZodRawShape | 'input' | 'event' | 'patch'

export interface ActorAction {
  summary: string
  role: Role
  /** Status of success; 200 unless something was made. */
  status: number
  changes: boolean
  query: z.ZodRawShape
  /** Absent where there is none. */
  body?: ActorBody
  answer: z.ZodType
  operation: (query: never, body: () => unknown) => Operation
}

const text = z.string({ error: 'must be a text' })
const truth = z.boolean({ error: 'must be true or false' })
const timers = z.enum(['run', 'freeze'], { error: 'must be "run" or "freeze"' })
const DRY_RUN = { dryRun: flag.optional() }
const PAUSE = { reason: text.optional(), interrupt: truth.optional(), timers: timers.optional() }
const RESUME = { state: text.optional(), retry: truth.optional() }
const CANCEL = { reason: text.optional() }
const PAGE = { limit: count.optional(), before: count.optional() }

/** By verb, then by method. */
export const ACTOR_ACTIONS: Readonly<Record<string, Readonly<Record<string, ActorAction>>>> = {
  '': {
    GET: reading('The actor as it is', {}, actorView, () => ({ op: 'get' })),
    POST: {
      ...changing('Starts the actor', 'input', (body) => ({ op: 'start', input: body() })),
      status: 201,
      answer: turnView,
    },
    PATCH: {
      ...changing('Changes the context by a JSON merge patch (RFC 7396)', 'patch', (body) => ({
        op: 'patch',
        merge: required(body),
      })),
      role: 'admin',
    },
    DELETE: {
      ...changing('Deletes the actor with all that belongs to it', {}, () => ({ op: 'delete' })),
      role: 'admin',
    },
  },
  send: {
    POST: {
      ...changing('Sends an event', 'event', (body) => ({
        op: 'send',
        event: eventOf(required(body)),
      })),
      answer: turnView,
    },
  },
  history: {
    GET: reading(
      'Its transitions, the newest first',
      PAGE,
      z.array(historyView),
      ({ limit, before }) => given({ op: 'history', limit, beforeTurn: before }),
    ),
  },
  events: {
    GET: reading('The events that its state takes now', {}, z.array(legalEventView), () => ({
      op: 'events',
    })),
  },
  pause: {
    POST: changing('Pauses it: what arrives is kept, in order', PAUSE, (body) =>
      given({ op: 'pause', ...readFields(body(), PAUSE) }),
    ),
  },
  resume: {
    POST: changing(
      'Goes on where it was, or at another state; a parked actor tries again',
      RESUME,
      (body) => given({ op: 'resume', ...readFields(body(), RESUME) }),
    ),
  },
  retry: {
    POST: changing('Enters its present state again, so that its tasks run anew', {}, () => ({
      op: 'resume',
      retry: true,
    })),
  },
  cancel: {
    POST: changing('Ends it where it stands', CANCEL, (body) =>
      given({ op: 'cancel', ...readFields(body(), CANCEL) }),
    ),
  },
}

function reading<TShape extends z.ZodRawShape>(
  summary: string,
  query: TShape,
  answer: z.ZodType,
  operation: (query: z.infer<z.ZodObject<TShape, z.core.$strict>>) => Operation,
): ActorAction {
  return { summary, role: 'read', status: 200, changes: false, query, answer, operation }
}

function changing(
  summary: string,
  body: ActorBody,
  operation: (body: () => unknown) => Operation,
): ActorAction {
  return {
    summary,
    role: 'operate',
    status: 200,
    changes: true,
    query: DRY_RUN,
    body,
    answer: receiptView,
    operation: (_query, read) => operation(read),
  }
}

export async function answerActor(
  node: TroupeNode,
  { address, verb }: ActorPath,
  exchange: Exchange,
  log: Log,
): Promise<Reply> {
  const methods = Object.hasOwn(ACTOR_ACTIONS, verb) ? ACTOR_ACTIONS[verb] : undefined
  if (!methods) {
    const verbs = Object.keys(ACTOR_ACTIONS).filter((name) => name !== '')
    throw new TroupeError(
      'not-found',
      `an actor has no "${verb.slice(0, 60)}"; it has: ${verbs.join(', ')}, watch, children/<child>`,
    )
  }
  const action = Object.hasOwn(methods, exchange.method) ? methods[exchange.method] : undefined
  if (!action) throw wrongMethod(exchange.method, Object.keys(methods))
  requireRole(exchange.access, roleFor(action, node, address))
  // Before the body: a mistake in the URL is the nearer one.
  const query: Record<string, unknown> = readQuery(exchange.search, action.query)
  const isDryRun = action.changes && query['dryRun'] === true
  const operation = action.operation(query as never, bodyReader(action, exchange))
  const client = node.client.as(exchange.access.author)
  const secrets = secretsOf(node, address)
  if (isDryRun) {
    const view: DryRunView = await client.dryRun(address, operation, exchange.options)
    return { status: 200, body: maskDryRun(view, secrets) }
  }
  const { access, options } = exchange
  if (!action.changes) {
    const read = await client.execute(address, operation, options)
    const body = operation.op === 'get' ? maskView(read as ActorView, secrets) : read
    return { status: action.status, body }
  }
  const id = options.id ?? formatCommandId(node.clock.now(), randomUUID())
  const body = await client.execute(address, operation, { ...options, id })
  const { op } = operation
  log.info({ address, op, command: id, author: access.author }, 'a command was applied')
  return { status: action.status, body, headers: { [COMMAND_ID]: id } }
}

/** A machine may ask for more than the action does. */
function roleFor({ changes, role }: ActorAction, node: TroupeNode, address: AddressText): Role {
  const isAdmins = node.machines.get(machineOf(address))?.definition.role === 'admin'
  return changes && isAdmins ? 'admin' : role
}

/** An action without fields takes none. */
function bodyReader({ body: wanted }: ActorAction, exchange: Exchange): () => unknown {
  const takesNothing = typeof wanted === 'object' && Object.keys(wanted).length === 0
  if (takesNothing) readFields(exchange.body(), {})
  return () => exchange.body()
}

function required(read: () => unknown): unknown {
  const body = read()
  if (body === undefined) throw new TroupeError('malformed', 'a JSON body is missing')
  return body
}

/** @throws TroupeError `malformed` */
export function eventOf(body: unknown): EventObject {
  const type = (body as { type?: unknown } | null)?.type
  if (typeof body !== 'object' || typeof type !== 'string') {
    throw new TroupeError(
      'malformed',
      'an event is a JSON object with a text "type", such as {"type":"PAY"}',
    )
  }
  return body as EventObject
}

/** Leaves out what was not given. */
function given(operation: { op: Operation['op']; [field: string]: unknown }): Operation {
  return Object.fromEntries(
    Object.entries(operation).filter(([, value]) => value !== undefined),
  ) as unknown as Operation
}
