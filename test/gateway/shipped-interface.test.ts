/**
 * The whole interface of a node as it ships: every route is in `openapi.json` and the other way round, asks
 * every role for what it says, and answers what it says.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { apps } from '../../machines/index.ts'
import { createGateway, type Gateway } from '../../src/gateway/index.ts'
import { ServedRoutes } from '../../src/gateway/served.ts'
import { createNode, type TroupeNode } from '../../src/node/index.ts'
import { ROLES, type Role } from '../../src/protocol/index.ts'
import { at, type Json, requireJsonSchema, validatorOf } from './json-schemas.ts'
import { type Answer, call, order, shop } from './rig.ts'

interface Described {
  path: string
  method: string
  operation: Json & { 'x-troupe-role': Role | 'public' }
}

const token = (role: Role) => `${role}-0123456789abcdef`
const bearer = (role: Role) => ({ authorization: `Bearer ${token(role)}` })
const users = ROLES.map((role) => ({
  ...{ name: `${role}er`, role },
  tokenSha256: createHash('sha256').update(token(role)).digest('hex'),
}))

let directory: string
let node: TroupeNode
let gateway: Gateway
let document: Json
const served: { method: string; url: string }[] = []
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-interface-'))
  node = await createNode({ dataDirectory: directory, apps: [...apps, shop] })
  const follow = vi.spyOn(ServedRoutes.prototype, 'follow')
  follow.mockImplementationOnce((server) => {
    server.addHook('onRoute', ({ method, url }) => {
      for (const one of [method].flat()) served.push({ method: one, url })
    })
  })
  gateway = await createGateway({ node, port: 0, users })
  follow.mockRestore()
  document = (await ask('GET', '/troupe/v1/openapi.json')).body
})
afterAll(async () => {
  await gateway.close()
  await node.stop()
  await rm(directory, { recursive: true, force: true })
})

function ask(method: string, path: string, body?: unknown): Promise<Answer> {
  return call(gateway.url, method, path, { body, headers: bearer('admin') })
}

function operations(): Described[] {
  return Object.entries(document['paths'] as Record<string, Json>).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({
      ...{ path, method },
      operation: operation as Described['operation'],
    })),
  )
}

function* schemas(value: unknown): Generator<unknown> {
  if (typeof value !== 'object' || value === null) return
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'schema') yield inner
    else yield* schemas(inner)
  }
}

describe('openapi.json', () => {
  it('has every route that is served, and none that is not', () => {
    const described = new Set(operations().map(({ method, path }) => `${method} ${path}`))
    const isOutside = (url: string) =>
      url.startsWith('/troupe/v1/worker/') || url === '/troupe/v1/actors/*'
    const written = served
      .filter(({ method, url }) => method !== 'HEAD' && !isOutside(url))
      .map(({ method, url }) => {
        const path = url.replace(/:(\w+)/g, '{$1}').replace('*', '{rest}')
        return `${method.toLowerCase()} ${path}`
      })
    expect(written.length).toBeGreaterThan(40)
    for (const route of written) expect(described, route).toContain(route)
    // What one route of the server serves is described verb by verb.
    const rest = [...described].filter((route) => !written.includes(route))
    const isOwn = (route: string) => /^\w+ \/troupe\/v1\/actors\/[^/]+\/\{id\}/.test(route)
    // A HEAD that says more than GET without its body does.
    const isHead = (route: string) => route === 'head /blob/{id}'
    for (const route of rest) expect([route, isOwn(route) || isHead(route)]).toEqual([route, true])
  })

  it('says something of every route and its answer, in valid JSON Schema 2020-12', () => {
    const components = at(document, '#/components/schemas') as Json
    const all = [...Object.values(components), ...schemas(document['paths'])]
    expect(all.length).toBeGreaterThan(200)
    for (const one of all) expect(() => requireJsonSchema(one), JSON.stringify(one)).not.toThrow()
    const { responses, parameters } = document['components'] as Json
    for (const one of schemas([responses, parameters])) requireJsonSchema(one)
    const vague: string[] = []
    for (const { method, path, operation } of operations()) {
      expect(String(operation['summary']), `${method} ${path}`).not.toMatch(/^A route of the app/)
      const contents = Object.values(operation['responses'] as Json).map(
        (one) => (one as Json)['content'],
      )
      const isVague = contents.some((one) => Object.hasOwn(one ?? {}, '*/*'))
      if (isVague) vague.push(path)
    }
    // Files; what a bulk answers depends on what it is asked.
    const files = [
      ...['/blob/{id}', '/blob/{id}'],
      ...['/piecestore/{cid}', '/server/result/download'],
    ]
    expect(vague.filter((path) => !path.startsWith('/bulk')).sort()).toEqual(files)
  })
})

describe('roles', () => {
  /** The status alone: a stream has no end. */
  function statusOf(
    method: string,
    path: string,
    role: Role | undefined,
  ): Promise<Answer['status'] | string> {
    const headers = { ...(role ? bearer(role) : {}), 'content-type': 'application/json' }
    return new Promise((resolve, reject) => {
      const url = `${gateway.url}${path}`
      const outgoing = request(url, { method, headers, agent: false }, (incoming) => {
        const challenge = incoming.headers['www-authenticate']
        resolve(challenge === undefined ? (incoming.statusCode ?? 0) : 'asked for a token')
        incoming.on('error', () => {}).destroy()
      })
      outgoing.on('error', reject)
      outgoing.end(['POST', 'PATCH', 'PUT'].includes(method) ? '{}' : undefined)
    })
  }

  it('are asked for at every route, by what it says', async () => {
    const seen = { public: 0, read: 0, operate: 0, admin: 0 }
    for (const { path, method: small, operation } of operations()) {
      const method = small.toUpperCase()
      const url = path.replace('{machine}', 'order').replace(/\{\w+\}/g, '999')
      const least = operation['x-troupe-role']
      seen[least] += 1
      const what = `${method} ${url} as`
      const stranger = await statusOf(method, url, undefined)
      expect([what, stranger === 'asked for a token']).toEqual([what, least !== 'public'])
      if (least === 'public') continue
      for (const role of ROLES) {
        const isEnough = ROLES.indexOf(role) >= ROLES.indexOf(least)
        const status = await statusOf(method, url, role)
        expect([what, role, status === 403]).toEqual([what, role, !isEnough])
        expect(status).not.toBe('asked for a token')
      }
    }
    for (const [role, count] of Object.entries(seen))
      expect([role, count > 5]).toEqual([role, true])
  })

  it('let nobody but administrators make keys, patch or delete', () => {
    const admins = operations().filter(({ operation }) => operation['x-troupe-role'] === 'admin')
    const routes = admins.map(({ method, path }) => `${method} ${path}`)
    for (const route of [
      'post /jobs/apps',
      'post /jobs/apps/{name}/token',
      'post /workers/groups',
      'post /workers/groups/{group}/rotate',
      'patch /troupe/v1/actors/{machine}/{id}',
      'delete /troupe/v1/actors/{machine}/{id}',
      'post /troupe/v1/actors/app/{id}',
      'post /troupe/v1/actors/app/{id}/send',
    ]) {
      expect(routes).toContain(route)
    }
  })
})

it('the answers of the families and of the platform fit what is said of them', async () => {
  const fits = async (
    method: string,
    path: string,
    words: string,
    body?: unknown,
  ): Promise<Json> => {
    const answer = await ask(method, words, body)
    const name = `${method} ${words}: ${answer.text.slice(0, 300)}`
    const operation = (document['paths'] as Record<string, Json>)[path]?.[method.toLowerCase()]
    const said = at(operation, `#/responses/${answer.status}/content`) as Json | undefined
    const schema = (said?.['application/json'] as Json | undefined)?.['schema']
    expect(schema, name).toBeDefined()
    const { error } = validatorOf(document, schema).safeParse(answer.body)
    expect(error?.issues ?? [], name).toEqual([])
    return answer.body as Json
  }
  const v1 = '/troupe/v1'
  const actor = `${v1}/actors/{machine}/{id}`
  await fits('POST', `${v1}/actors/order/{id}`, `${v1}/actors/order/1`, { customer: 'ann' })
  await fits('POST', `${v1}/actors/order/{id}/send`, `${v1}/actors/order/1/send`, { type: 'ASK' })
  await fits('GET', actor, `${v1}/actors/order/1`)
  for (const verb of ['pause', 'resume', 'retry', 'cancel'])
    await fits('POST', `${actor}/${verb}`, `${v1}/actors/order/1/${verb}`, {})
  for (const verb of ['history', 'events'])
    await fits('GET', `${actor}/${verb}`, `${v1}/actors/order/1/${verb}`)
  for (const list of ['actors', 'count', 'machines', 'audit', 'dead-letters', 'shards'])
    await fits('GET', `${v1}/${list}`, `${v1}/${list}`)
  await fits('GET', `${v1}/machines/{name}`, `${v1}/machines/${order.name}`)
  for (const path of ['/health', '/ready']) await fits('GET', path, path)

  await fits('POST', '/jobs/apps', '/jobs/apps', { name: 'shown' })
  await fits('GET', '/jobs/apps', '/jobs/apps')
  await fits('POST', '/jobs/apps/{name}/token', '/jobs/apps/shown/token')
  const { jobId } = await fits('POST', '/jobs', '/jobs', { name: 'j', content: 'echo x' })
  const job = await fits('GET', '/jobs/{id}', `/jobs/${jobId}?waitMs=20000`)
  expect(job).toMatchObject({ status: 'success', exit: { code: 0 } })
  await fits('GET', '/jobs', '/jobs')
  for (const part of ['log', 'bytes'])
    await fits('GET', `/jobs/{id}/${part}`, `/jobs/${jobId}/${part}`)
  await fits('POST', '/jobs/{id}/rerun', `/jobs/${jobId}/rerun`)
  await fits('PATCH', '/jobs/{id}', `/jobs/${jobId}`, { priority: 2 })
  const long = await fits('POST', '/jobs', '/jobs', { name: 'k', content: 'sleep 60' })
  await fits('POST', '/jobs/{id}/kill', `/jobs/${long['jobId']}/kill`)
  await fits('GET', '/jobs/{id}', `/jobs/${jobId}?waitMs=20000`)
  await fits('POST', '/jobs/{id}/remove', `/jobs/${jobId}/remove`)

  const { key } = await fits('POST', '/workers/groups', '/workers/groups', { group: 'shown' })
  expect(key).toMatch(/^[0-9a-f]{32}$/)
  await fits('GET', '/workers/groups', '/workers/groups')
  await fits('POST', '/workers/groups/{group}/rotate', '/workers/groups/shown/rotate')
  const { workers } = await fits('GET', '/workers', '/workers')
  const { name } = (workers as { name: string }[])[0] ?? { name: '' }
  await fits('GET', '/workers/{name}', `/workers/${name}`)
  for (const verb of ['offline', 'drain', 'online'])
    await fits('POST', `/workers/{name}/${verb}`, `/workers/${name}/${verb}`)

  await fits('POST', '/pools', '/pools', { pool: 'shown', slots: 2, limits: { s: 1 } })
  for (const holder of ['a', 'b'])
    await node.client.ask('pool/shown', { type: 'ACQUIRE', holder, stage: 's', leaseMs: 60_000 })
  await fits('GET', '/pools', '/pools')
  await fits('GET', '/pools/{name}', '/pools/shown')
  await fits('POST', '/pools/{name}/resize', '/pools/shown/resize', { slots: 3 })
  await fits('POST', '/pools/{name}/release', '/pools/shown/release', { holder: 'a' })
}, 60_000)
