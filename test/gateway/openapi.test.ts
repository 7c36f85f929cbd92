/** `openapi.json`: whole, true to what is served, and true to what is answered. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { setup } from 'xstate'
import { z } from 'zod'
import { createGateway } from '../../src/gateway/index.ts'
import { ServedRoutes } from '../../src/gateway/served.ts'
import * as views from '../../src/gateway/view-schemas.ts'
import { defineMachine } from '../../src/machine/index.ts'
import { type App, createNode, defineApp } from '../../src/node/index.ts'
import { type Rig, startRig } from './rig.ts'

const tree = z.object({
  name: z.string(),
  get below() {
    return z.array(tree)
  },
})
const forest = defineMachine({
  machine: setup({
    types: { events: {} as { type: 'tree.planted/now'; tree: z.infer<typeof tree> } },
  }).createMachine({ id: 'forest', on: { 'tree.planted/now': {} } }),
  events: { 'tree.planted/now': z.object({ tree }) },
  role: 'admin',
})
const family = defineApp({
  name: 'family',
  machines: [forest],
  routes: () => [
    {
      method: 'POST',
      path: '/family/:kind/do/',
      summary: 'Does it',
      role: 'admin',
      schemas: {
        query: z.strictObject({ often: z.string().regex(/^\d+$/).optional() }),
        body: z.strictObject({ what: z.string().trim(), times: z.number().default(1) }),
        answer: z.object({ done: z.boolean() }),
      },
      handle: async ({ body }) => ({ body: body as object }),
    },
    { method: 'GET', path: '/family/files/*', role: 'public', handle: async () => ({ body: 'x' }) },
    { method: 'PUT', path: '/family/raw', body: 'stream', handle: async () => ({}) },
  ],
  methods: () => [{ name: 'grow', params: tree, handle: async () => null }],
})

type Json = { [key: string]: Json } & Json[]
interface Operation {
  parameters?: { name: string; in: string; required: boolean; $ref?: string }[]
  responses: Record<string, unknown>
  operationId: string
  requestBody?: unknown
}

let rig: Rig
let document: Json
const served: { method: string; url: string }[] = []
beforeAll(async () => {
  const follow = vi.spyOn(ServedRoutes.prototype, 'follow')
  follow.mockImplementationOnce((server) => {
    server.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) served.push({ method: one, url })
    })
  })
  rig = await startRig({ apps: [family] })
  follow.mockRestore()
  document = (await rig.call('GET', '/troupe/v1/openapi.json')).body
})
afterAll(() => rig.close())

function* everything(value: unknown): Generator<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return
  yield value as Record<string, unknown>
  for (const inner of Object.values(value)) yield* everything(inner)
}
function at(pointer: string): Json | undefined {
  const parts = pointer.slice(2).split('/')
  return parts.reduce<Json | undefined>((json, part) => json?.[part], document)
}
const operations = () =>
  Object.entries(document['paths'] ?? {}).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      path,
      method,
      operation: operation as unknown as Operation,
    })),
  )
const bodySchema = (path: string, method: string) =>
  at('#/paths')?.[path]?.[method]?.['requestBody']?.['content']?.['application/json']?.['schema']

describe('the document', () => {
  it('is OpenAPI 3.1, and every reference in it leads somewhere', () => {
    expect(document['openapi']).toBe('3.1.0')
    const refs = [...everything(document)].map(({ $ref }) => $ref).filter(Boolean) as string[]
    expect(refs.length).toBeGreaterThan(50)
    for (const ref of refs) expect(at(ref), ref).toBeDefined()
    for (const part of Object.values(document['components'] ?? {})) {
      for (const name of Object.keys(part)) expect(name).toMatch(/^[A-Za-z0-9._-]+$/)
    }
  })

  it('declares each part of a path once, and nothing that is not in it', () => {
    for (const { path, method, operation } of operations()) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      const parameters = (operation.parameters ?? []).filter((one) => one.in === 'path')
      expect(
        parameters.map(({ name }) => name),
        `${method} ${path}`,
      ).toEqual(inPath)
      expect(parameters.every(({ required }) => required)).toBe(true)
      expect(path).toMatch(/^\/[\w{}/.-]*$/)
      expect(operation.responses).toHaveProperty('default')
    }
    const ids = operations().map(({ operation }) => operation.operationId)
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('holds every route that is served', () => {
    const documented = new Set(operations().map(({ path, method }) => `${method} ${path}`))
    expect(served.length).toBeGreaterThan(15)
    for (const { method, url } of served) {
      // Told of every other method; the protocol of workers is no part of the interface.
      if (method === 'HEAD' || url.startsWith('/troupe/v1/worker/')) continue
      if (url === '/troupe/v1/actors/*') continue
      const path = url.replace(/:(\w+)/g, '{$1}').replace('*', '{rest}')
      expect(documented, url).toContain(`${method.toLowerCase()} ${path}`)
    }
    const actor = '/troupe/v1/actors/{machine}/{id}'
    for (const verb of ['send', 'pause', 'resume', 'retry', 'cancel']) {
      expect(documented).toContain(`post ${actor}/${verb}`)
    }
    for (const verb of ['history', 'events', 'watch']) {
      expect(documented).toContain(`get ${actor}/${verb}`)
      expect(documented).toContain(`get ${actor}/children/{child}/${verb}`)
    }
  })

  it('holds nothing that is not served', async () => {
    for (const { path, method } of operations()) {
      const url = path.replace('{machine}', 'order').replace(/\{\w+\}/g, 'x')
      if (url.endsWith('/watch')) continue
      const answer = await rig.call(method.toUpperCase(), url)
      expect(answer.status, `${method} ${url}`).not.toBe(405)
      const message = String(answer.body?.error?.message ?? '')
      expect(message).not.toMatch(/there is nothing at|an actor has no|the path goes on/)
    }
  })

  it('says what each machine takes, by its own schemas', () => {
    const start = bodySchema('/troupe/v1/actors/order/{id}', 'post')
    expect(at(String(start?.['$ref']))).toMatchObject({
      properties: { customer: { type: 'string', minLength: 1 }, card: { type: 'string' } },
      required: ['customer'],
    })
    const sent = at(String(bodySchema('/troupe/v1/actors/order/{id}/send', 'post')?.['$ref']))
    const events = (sent?.['oneOf'] ?? []).map(({ $ref }) => at(String($ref)))
    expect(events).toContainEqual({
      type: 'object',
      properties: { type: { const: 'OPEN' }, amount: { type: 'number' } },
      required: ['type', 'amount'],
    })
    expect(events).toContainEqual(
      expect.objectContaining({ properties: { type: { const: 'BIG' }, id: { type: 'integer' } } }),
    )
    const paths = at('#/paths')?.['/troupe/v1/actors/forest/{id}']
    expect(paths?.['post']).toMatchObject({ 'x-troupe-role': 'admin' })
    expect(paths?.['get']).toMatchObject({ 'x-troupe-role': 'read' })
    const planted = at('#/components/schemas/forest.event.tree.planted_now')
    expect(planted?.['properties']).toMatchObject({ type: { const: 'tree.planted/now' } })
  })

  it('says what apps say of their routes and methods', () => {
    const route = at('#/paths')?.['/family/{kind}/do/']?.['post']
    expect(route).toMatchObject({ summary: 'Does it', tags: ['family'], 'x-troupe-role': 'admin' })
    expect(route?.['parameters']).toContainEqual(
      expect.objectContaining({ name: 'often', in: 'query', required: false }),
    )
    const body = at(String(bodySchema('/family/{kind}/do/', 'post')?.['$ref']))
    expect(body).toMatchObject({ required: ['what'], additionalProperties: false })
    expect(at('#/paths')?.['/family/files/{rest}']?.['get']).toMatchObject({ security: [] })
    const [call] = bodySchema('/rpc', 'post')?.['anyOf'] ?? []
    const [grow] = call?.['oneOf'] ?? []
    expect(at(String(grow?.['properties']?.['params']?.['$ref']))).toMatchObject({
      properties: { below: { items: { $ref: '#/components/schemas/rpc.grow' } } },
    })
  })
})

describe('what an app says of its route', () => {
  it.each([
    [{ what: ' wash ' }, '', 200, '{"what":"wash","times":1}'],
    [{ what: 7 }, '', 400, 'the field \\"what\\" is not what is wanted'],
    [{ what: 'x', more: 1 }, '', 400, 'more'],
    [undefined, '', 400, 'what was sent is not what is wanted'],
    [{ what: 'x' }, '?often=3', 200, 'times'],
    [{ what: 'x' }, '?often=x', 400, 'the parameter \\"often\\"'],
    [{ what: 'x' }, '?other=1', 400, 'other'],
  ])('is held: %j %s', async (body, query, status, text) => {
    const answer = await rig.call('POST', `/family/a/do${query}`, { body })
    expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(text)])
  })

  const due = z.object({ due: z.date() })
  const handle = async () => ({})
  it.each<[string, Partial<App>, RegExp]>([
    [
      'a body',
      { routes: () => [{ method: 'POST', path: '/x', schemas: { body: due }, handle }] },
      /app odd, route POST \/x, body, field due: no JSON Schema/,
    ],
    [
      'a query',
      { routes: () => [{ method: 'GET', path: '/x', schemas: { query: due }, handle }] },
      /app odd, route GET \/x, query, field due/,
    ],
    [
      'an answer',
      { routes: () => [{ method: 'GET', path: '/x', schemas: { answer: due }, handle }] },
      /app odd, route GET \/x, answer, field due/,
    ],
    [
      'the params of a method',
      { methods: () => [{ name: 'm', params: due, handle: async () => 1 }] },
      /app odd, JSON-RPC method m, params, field due/,
    ],
  ])('cannot be what JSON Schema cannot say: %s', async (_what, parts, message) => {
    const dataDirectory = `${rig.directory}/odd-${_what.replaceAll(' ', '-')}`
    const odd = defineApp({ name: 'odd', ...parts } as Parameters<typeof defineApp>[0])
    const node = await createNode({ dataDirectory, apps: [odd] })
    await expect(createGateway({ node, port: 0 })).rejects.toThrow(message)
    await node.stop()
  })
})

it('the answers are what the document says', async () => {
  const path = await rig.start('shown')
  const ask = async (method: string, rest: string, body?: unknown) => {
    const answer = await rig.call(method, rest, { body })
    expect(answer.status).toBeLessThan(300)
    return answer.body as unknown
  }
  const fits = (schema: z.ZodObject, value: unknown) => schema.strict().parse(value)
  fits(views.turnView, await ask('POST', `${path}/send`, { type: 'ASK' }))
  fits(views.receiptView, await ask('POST', `${path}/pause`, { reason: 'why' }))
  fits(views.actorView, await ask('GET', path))
  fits(views.dryRunView, await ask('POST', `${path}/resume?dryRun`, {}))
  fits(views.receiptView, await ask('POST', `${path}/retry`, {}))
  for (const row of (await ask('GET', `${path}/history`)) as unknown[]) fits(views.historyView, row)
  for (const row of (await ask('GET', `${path}/events`)) as unknown[])
    fits(views.legalEventView, row)
  fits(views.actorPage, await ask('GET', '/troupe/v1/actors?limit=1'))
  fits(views.countView, await ask('GET', '/troupe/v1/count'))
  fits(views.machineView, await ask('GET', '/troupe/v1/machines/order'))
  const rowsOf = async (list: string) =>
    (await ask('GET', `/troupe/v1/${list}`)) as { rows: unknown[] }
  for (const row of (await rowsOf('actors')).rows) fits(views.actorRow, row)
  for (const row of (await rowsOf('audit')).rows) fits(views.auditView, row)
  for (const row of (await rowsOf('shards')).rows) fits(views.shardStatus, row)
  for (const row of (await rowsOf('machines')).rows) fits(views.machineRow, row)
})
