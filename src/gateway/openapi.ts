/**
 * `/troupe/v1/openapi.json`: the whole interface of this node as OpenAPI 3.1, made of the schemas that
 * check requests. Decides: how routes, machines and apps are written down. What JSON Schema cannot say
 * does not get here: it is refused when it is registered.
 *
 * The protocol of workers (`/troupe/v1/worker`) is no part of it: it is not JSON, and changes freely.
 */
import { z } from 'zod'
import type { TroupeNode } from '../node/index.ts'
import type { JsonSchema, Role } from '../protocol/index.ts'
import { ACTOR_ACTIONS, type ActorAction } from './actor-routes.ts'
import type { ClaimedMethod, ClaimedRoute } from './app-claims.ts'
import { roleOf } from './app-routes.ts'
import { GIVE_UP, GIVEN_UP, ORDER_ANSWER, ORDER_QUERY, ORDERS } from './cluster-routes.ts'
import { LISTS, ROOT } from './generic-paths.ts'
import { WATCH_QUERY } from './list-routes.ts'
import { MACHINE_QUERY } from './machine-routes.ts'
import {
  Components,
  HEADERS,
  type Operation,
  type OperationParts,
  operationOf,
  type Parameter,
  pathOf,
  SHARED_HEADERS,
  SHARED_RESPONSES,
  said,
} from './openapi-parts.ts'
import {
  actorView,
  dryRunView,
  errorView,
  machineView,
  receiptView,
  turnView,
} from './view-schemas.ts'

export interface OpenApiSource {
  node: TroupeNode
  routes: readonly ClaimedRoute[]
  methods: ReadonlyMap<string, ClaimedMethod>
  /** False without users: then no request needs a token. */
  hasUsers: boolean
}

/** @throws TroupeError `invalid-config` for a schema of an app that JSON Schema cannot say */
export function openApiOf(source: OpenApiSource): JsonSchema {
  return new OpenApiDocument(source).whole()
}

const EVENT_STREAM = 'text/event-stream'
const ANY_EVENT: JsonSchema = {
  type: 'object',
  properties: { type: { type: 'string' } },
  required: ['type'],
}

class OpenApiDocument {
  readonly #source: OpenApiSource
  readonly #components = new Components()
  readonly #paths: Record<string, Record<string, Operation>> = {}

  constructor(source: OpenApiSource) {
    this.#source = source
    this.#components.ref('Error', z.object({ error: errorView }))
    this.#components.ref('ActorView', actorView)
    this.#components.ref('TurnView', turnView)
    this.#components.ref('OperatorReceipt', receiptView)
    this.#components.ref('DryRunView', dryRunView)
    this.#addPlatform()
    this.#addActors('{machine}', {}, ANY_EVENT)
    for (const { definition } of source.node.machines.values()) {
      const { name, events, input } = definition
      const types = Object.entries(events).map(([type, schema]) => {
        const place = `${name}.event.${type}`
        return this.#components.put(place, eventSchema(type, said(schema, place)))
      })
      const event = types.length > 0 ? { oneOf: types } : { not: {} }
      const started = input ? this.#components.ref(`${name}.input`, input) : {}
      const sent = this.#components.put(`${name}.event`, event)
      this.#addActors(name, started, sent, definition.role)
    }
    for (const claim of source.routes) this.#addApp(claim)
    this.#addRpc()
  }

  whole(): JsonSchema {
    const { node, hasUsers } = this.#source
    return {
      openapi: '3.1.0',
      info: {
        title: `Troupe, cluster ${node.cluster}`,
        version: 'v1',
        description: 'Durable, distributed XState machines.',
      },
      ...(hasUsers ? { security: [{ token: [] }] } : {}),
      paths: this.#paths,
      components: {
        schemas: this.#components.all(),
        parameters: SHARED_HEADERS,
        responses: SHARED_RESPONSES,
        securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      },
    }
  }

  #addPlatform(): void {
    for (const { path, summary, query, answer } of LISTS) {
      this.#addRead(`${ROOT}${path}`, summary, answer, { query })
    }
    const machine = 'A machine with its schemas and its chart; ?actor=ID marks where that stands'
    this.#addRead(`${ROOT}/machines/{name}`, machine, machineView, {
      parameters: [inPath('name')],
      query: MACHINE_QUERY,
    })
    this.#add(`${ROOT}/watch`, 'get', {
      summary: 'Rows of a list, then each that changes: events row, gone, live, reset',
      role: 'read',
      query: WATCH_QUERY,
      headers: [HEADERS.lastEventId],
      media: EVENT_STREAM,
    })
    this.#add(`${ROOT}/cluster/give-up`, 'post', {
      summary: 'Shards that wait for the records of a node that is gone go on without them',
      role: 'admin',
      body: said(GIVE_UP, 'give-up'),
      answer: said(GIVEN_UP, 'given up'),
    })
    for (const [name, { summary, fields }] of Object.entries(ORDERS)) {
      this.#add(`${ROOT}/cluster/${name}`, 'post', {
        ...{ summary, role: 'admin', query: ORDER_QUERY },
        body: said(z.strictObject(fields), name),
        answer: said(ORDER_ANSWER, `${name}, answer`),
      })
    }
    this.#addRead(`${ROOT}/openapi.json`, 'This document', z.object({ openapi: z.string() }))
    const up = z.object({ status: z.string(), node: z.string(), cluster: z.string() })
    this.#addRead('/health', 'The process lives', up, { role: 'public' })
    const ready = z.object({ ready: z.boolean(), reasons: z.array(z.string()) })
    const progress = 'Every shard of this node makes progress; 503 when one does not'
    this.#addRead('/ready', progress, ready, { role: 'public' })
    this.#add('/metrics', 'get', { summary: 'For Prometheus', role: 'read', media: 'text/plain' })
  }

  /** @param machine a name, or `{machine}`: only that has paths for children, and for every verb */
  #addActors(machine: string, input: JsonSchema, event: JsonSchema, least: Role = 'operate'): void {
    const isAny = machine === '{machine}'
    const root = `${ROOT}/actors/${machine}/{id}`
    const own = [...(isAny ? [inPath('machine')] : []), inPath('id')]
    for (const [verb, methods] of Object.entries(ACTOR_ACTIONS)) {
      if (!isAny && verb !== '' && verb !== 'send') continue
      const tail = verb === '' ? '' : `/${verb}`
      for (const [method, known] of Object.entries(methods)) {
        const isAdmins = known.changes && least === 'admin'
        const action: ActorAction = isAdmins ? { ...known, role: least } : known
        const body = bodyOf(action, input, event)
        this.#addActor(`${root}${tail}`, method, action, own, body)
        if (!isAny) continue
        const child = [...own, inPath('child')]
        this.#addActor(`${root}/children/{child}${tail}`, method, action, child, body)
      }
    }
    if (!isAny) return
    this.#addActorWatch(`${root}/watch`, own)
    this.#addActorWatch(`${root}/children/{child}/watch`, [...own, inPath('child')])
  }

  #addActor(
    path: string,
    method: string,
    action: ActorAction,
    parameters: readonly Parameter[],
    body: JsonSchema | undefined,
  ): void {
    const { summary, role, query, answer, status, changes } = action
    const { command, timeout, durability, author } = HEADERS
    const done = this.#components.ref(summary, answer)
    const tried = this.#components.ref('DryRunView', dryRunView)
    this.#add(path, method.toLowerCase(), {
      summary,
      role,
      query,
      status,
      parameters,
      headers: changes ? [command, timeout, durability, author] : [timeout],
      answer: changes && status === 200 ? { anyOf: [done, tried] } : done,
      ...(body === undefined ? {} : { body }),
    })
  }

  #addActorWatch(path: string, parameters: readonly Parameter[]): void {
    this.#add(path, 'get', {
      summary: 'Every turn of the actor: events state, transition, emitted, removed, reset',
      role: 'read',
      parameters,
      headers: [HEADERS.lastEventId],
      media: EVENT_STREAM,
    })
  }

  #addApp({ app, route }: ClaimedRoute): void {
    const { path, names } = pathOf(route.path)
    const { query, body, answer, status } = route.schemas ?? {}
    const place = `app ${app}, route ${route.method} ${route.path}`
    const name = `${app}.${route.method} ${route.path}`
    const takesBody = !['GET', 'HEAD', 'DELETE'].includes(route.method)
    if (query) said(query, `${place}, query`)
    this.#add(path, route.method.toLowerCase(), {
      summary: route.summary ?? `A route of the app ${app}`,
      role: roleOf(route),
      tags: [app],
      parameters: names.map(inPath),
      ...(status === undefined ? {} : { status }),
      ...(query ? { query: query.shape } : {}),
      ...(body ? { body: this.#components.ref(`${name}.body`, body, `${place}, body`) } : {}),
      ...(takesBody && !body ? { body: {}, bodyMedia: '*/*' } : {}),
      // Families keep the answers of their seeds: without a schema nothing is promised.
      ...(answer
        ? { answer: this.#components.ref(`${name}.answer`, answer, `${place}, answer`) }
        : { media: '*/*' }),
    })
  }

  #addRpc(): void {
    const calls = [...this.#source.methods].map(([name, { app, method }]) => {
      const place = `app ${app}, JSON-RPC method ${name}, params`
      return {
        type: 'object',
        properties: {
          jsonrpc: { const: '2.0' },
          method: { const: name },
          params: this.#components.ref(`rpc.${name}`, method.params, place),
          id: { type: ['string', 'number', 'null'] },
        },
        required: ['jsonrpc', 'method'],
      }
    })
    const call = calls.length > 0 ? { oneOf: calls } : { not: {} }
    this.#add('/rpc', 'post', {
      summary: 'JSON-RPC 2.0: a call or a list of calls; each method asks for a role of its own',
      role: 'read',
      body: { anyOf: [call, { type: 'array', items: call }] },
    })
  }

  #addRead(
    path: string,
    summary: string,
    answer: z.ZodType,
    more: Partial<OperationParts> = {},
  ): void {
    const schema = this.#components.ref(path.slice(1), answer)
    this.#add(path, 'get', { summary, role: 'read', answer: schema, ...more })
  }

  #add(path: string, method: string, parts: OperationParts): void {
    const item = this.#paths[path] ?? {}
    item[method] = operationOf(`${method} ${path}`, parts)
    this.#paths[path] = item
  }
}

function inPath(name: string): Parameter {
  return { name, in: 'path' }
}

/** An event is its payload and its type in one object. */
function eventSchema(type: string, payload: JsonSchema): JsonSchema {
  const { properties, required } = payload as { properties?: object; required?: string[] }
  const typed = { properties: { type: { const: type }, ...properties } }
  return { type: 'object', ...payload, ...typed, required: ['type', ...(required ?? [])] }
}

function bodyOf(
  { body }: ActorAction,
  input: JsonSchema,
  event: JsonSchema,
): JsonSchema | undefined {
  switch (body) {
    case undefined:
      return undefined
    case 'input':
      return input
    case 'event':
      return event
    case 'patch':
      return { type: 'object' }
    default:
      return Object.keys(body).length === 0 ? undefined : said(z.strictObject(body), 'fields')
  }
}
