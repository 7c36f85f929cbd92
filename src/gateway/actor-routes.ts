/**
 * `/troupe/v1/actors/<machine>/<id>…`: everything that can be asked of one actor. Decides: which
 * verb and method is which operation, and what its body and parameters are.
 */
import { z } from 'zod'
import type { TroupeNode } from '../node/index.ts'
import {
  type ActorView,
  type DryRunView,
  type EventObject,
  type Operation,
  TroupeError,
} from '../protocol/index.ts'
import { type Role, requireRole } from './access.ts'
import { readActorPath } from './actor-paths.ts'
import type { Exchange } from './exchange.ts'
import { count, flag, readFields, readQuery } from './parameters.ts'
import { maskDryRun, maskView, secretsOf } from './secrets.ts'
import { wrongMethod } from './served.ts'

export interface Reply {
  status: number
  body: unknown
  headers?: Readonly<Record<string, string>>
}

interface Action {
  role: Role
  /** Status of success; 200 unless something was made. */
  status?: number
  changes: boolean
  read: (exchange: Exchange) => Operation
}

const text = z.string({ error: 'must be a text' })
const truth = z.boolean({ error: 'must be true or false' })

/** By verb, then by method. */
const ACTIONS: Readonly<Record<string, Readonly<Record<string, Action>>>> = {
  '': {
    GET: reading(({ search }) => {
      readQuery(search, {})
      return { op: 'get' }
    }),
    POST: { ...changing((exchange) => ({ op: 'start', input: exchange.body() })), status: 201 },
    PATCH: changing((exchange) => ({ op: 'patch', merge: requireBody(exchange) }), 'admin'),
    DELETE: changing((exchange) => {
      readFields(exchange.body(), {})
      return { op: 'delete' }
    }, 'admin'),
  },
  send: { POST: changing((exchange) => ({ op: 'send', event: eventOf(requireBody(exchange)) })) },
  history: {
    GET: reading(({ search }) => {
      const { limit, before } = readQuery(search, {
        limit: count.optional(),
        before: count.optional(),
      })
      return given({ op: 'history', limit, beforeTurn: before })
    }),
  },
  events: {
    GET: reading(({ search }) => {
      readQuery(search, {})
      return { op: 'events' }
    }),
  },
  pause: {
    POST: changing((exchange) => {
      const timers = z.enum(['run', 'freeze'], { error: 'must be "run" or "freeze"' })
      const shape = {
        reason: text.optional(),
        interrupt: truth.optional(),
        timers: timers.optional(),
      }
      return given({ op: 'pause', ...readFields(exchange.body(), shape) })
    }),
  },
  resume: {
    POST: changing((exchange) => {
      const shape = { state: text.optional(), retry: truth.optional() }
      return given({ op: 'resume', ...readFields(exchange.body(), shape) })
    }),
  },
  cancel: {
    POST: changing((exchange) =>
      given({ op: 'cancel', ...readFields(exchange.body(), { reason: text.optional() }) }),
    ),
  },
}

function reading(read: Action['read']): Action {
  return { role: 'read', changes: false, read }
}

function changing(read: Action['read'], role: Role = 'operate'): Action {
  return { role, changes: true, read }
}

export async function answerActor(
  node: TroupeNode,
  rest: string,
  exchange: Exchange,
): Promise<Reply> {
  const { address, verb } = readActorPath(rest, node.limits)
  const methods = Object.hasOwn(ACTIONS, verb) ? ACTIONS[verb] : undefined
  if (!methods) {
    const verbs = Object.keys(ACTIONS).filter((name) => name !== '')
    throw new TroupeError(
      'not-found',
      `an actor has no "${verb.slice(0, 60)}"; it has: ${verbs.join(', ')}, children/<child>`,
    )
  }
  const action = Object.hasOwn(methods, exchange.method) ? methods[exchange.method] : undefined
  if (!action) throw wrongMethod(exchange.method, Object.keys(methods))
  requireRole(exchange.access, action.role)
  // Before the body: a mistake in the URL is the nearer one.
  const isDryRun =
    action.changes && readQuery(exchange.search, { dryRun: flag.optional() }).dryRun === true
  const operation = action.read(exchange)
  const client = node.client.as(exchange.access.author)
  const secrets = secretsOf(node, address)
  if (isDryRun) {
    const view: DryRunView = await client.dryRun(address, operation, exchange.options)
    return { status: 200, body: maskDryRun(view, secrets) }
  }
  const result = await client.execute(address, operation, exchange.options)
  const body = operation.op === 'get' ? maskView(result as ActorView, secrets) : result
  return { status: action.status ?? 200, body }
}

function requireBody(exchange: Exchange): unknown {
  const body = exchange.body()
  if (body === undefined) throw new TroupeError('malformed', 'a JSON body is missing')
  return body
}

function eventOf(body: unknown): EventObject {
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
