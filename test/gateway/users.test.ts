/** Users: who may come in, what each role may do, and whose name stands in the history. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { setup } from 'xstate'
import { z } from 'zod'
import { createGateway } from '../../src/gateway/index.ts'
import { defineMachine } from '../../src/machine/index.ts'
import { type AppRoute, defineApp } from '../../src/node/index.ts'
import type { Role, UserConfig } from '../../src/protocol/index.ts'
import { call, type Rig, startRig } from './rig.ts'

const TOKENS: Readonly<Record<Role, string>> = {
  read: 'r-0123456789abcdef',
  operate: 'o-0123456789abcdef',
  admin: 'a-0123456789abcdef',
}
const ROLES = Object.keys(TOKENS) as Role[]
const users: UserConfig[] = ROLES.map((role) => ({
  name: `${role}er`,
  role,
  tokenSha256: createHash('sha256').update(TOKENS[role]).digest('hex'),
}))

const handle: AppRoute['handle'] = async ({ author }) => ({ body: { author } })
const vault = defineMachine({
  machine: setup({}).createMachine({ id: 'vault' }),
  events: {},
  role: 'admin',
})
const family = defineApp({
  name: 'family',
  machines: [vault],
  routes: () => [
    { method: 'GET', path: '/family/look', handle },
    { method: 'POST', path: '/family/do', handle },
    { method: 'POST', path: '/family/keys', role: 'admin', handle },
    { method: 'POST', path: '/family/ask', role: 'read', handle },
    { method: 'POST', path: '/family/open', role: 'public', handle },
  ],
  methods: () => [
    { name: 'look', role: 'read', params: z.unknown(), handle: async (_, { author }) => author },
    { name: 'do', params: z.unknown(), handle: async (_, { author }) => author },
    { name: 'keys', role: 'admin', params: z.unknown(), handle: async (_, { author }) => author },
  ],
})

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ apps: [family], gateway: { users, host: '0.0.0.0' } })
})
afterAll(() => rig.close())

const as = (role: Role) => ({ authorization: `Bearer ${TOKENS[role]}` })

/** The statuses that a caller without a token and the three roles get. */
const CASES: readonly [method: string, path: string, body: unknown, least: Role | 'public'][] = [
  ['GET', '/health', undefined, 'public'],
  ['GET', '/ready', undefined, 'public'],
  ['GET', '/metrics', undefined, 'read'],
  ['GET', '/troupe/v1/actors', undefined, 'read'],
  ['GET', '/troupe/v1/count', undefined, 'read'],
  ['GET', '/troupe/v1/audit', undefined, 'read'],
  ['GET', '/troupe/v1/machines', undefined, 'read'],
  ['GET', '/troupe/v1/machines/order', undefined, 'read'],
  ['GET', '/troupe/v1/dead-letters', undefined, 'read'],
  ['GET', '/troupe/v1/shards', undefined, 'read'],
  ['GET', '/troupe/v1/actors/order/x', undefined, 'read'],
  ['HEAD', '/troupe/v1/actors/order/x', undefined, 'read'],
  ['GET', '/troupe/v1/actors/order/x/history', undefined, 'read'],
  ['GET', '/troupe/v1/actors/order/x/events', undefined, 'read'],
  ['POST', '/troupe/v1/actors/order/y', { customer: 'ann' }, 'operate'],
  ['POST', '/troupe/v1/actors/order/x/send', { type: 'ASK' }, 'operate'],
  ['POST', '/troupe/v1/actors/order/x/pause', {}, 'operate'],
  ['POST', '/troupe/v1/actors/order/x/resume', {}, 'operate'],
  ['POST', '/troupe/v1/actors/order/x/resume?dryRun', {}, 'operate'],
  ['PATCH', '/troupe/v1/actors/order/x', { customer: 'bea' }, 'admin'],
  ['PATCH', '/troupe/v1/actors/order/x?dryRun', { customer: 'bea' }, 'admin'],
  ['POST', '/troupe/v1/actors/order/x/cancel', {}, 'operate'],
  ['DELETE', '/troupe/v1/actors/order/x', undefined, 'admin'],
  ['POST', '/troupe/v1/actors/vault/x', undefined, 'admin'],
  ['POST', '/troupe/v1/actors/vault/x/pause', {}, 'admin'],
  ['GET', '/troupe/v1/actors/vault/x', undefined, 'read'],
  ['GET', '/family/look', undefined, 'read'],
  ['POST', '/family/do', {}, 'operate'],
  ['POST', '/family/keys', {}, 'admin'],
  ['POST', '/family/ask', {}, 'read'],
  ['POST', '/family/open', {}, 'public'],
  ['POST', '/rpc', [], 'read'],
]

describe('roles', () => {
  it.each(CASES)('%s %s', async (method, path, body, least) => {
    const refused = await rig.call(method, path, { body })
    if (least === 'public') expect(refused.status).toBe(200)
    else {
      expect(refused.status).toBe(401)
      expect(refused.headers['www-authenticate']).toBe('Bearer realm="troupe"')
      if (method !== 'HEAD') expect(refused.body.error.message).toContain('Authorization: Bearer')
    }
    const from = least === 'public' ? 0 : ROLES.indexOf(least)
    for (const [rank, role] of ROLES.entries()) {
      const answer = await rig.call(method, path, { body, headers: as(role) })
      // What the actor says to it is not the matter here.
      if (rank >= from) expect([401, 403]).not.toContain(answer.status)
      else {
        expect(answer).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
        expect(answer.text).toContain(`this needs the role ${least}; ${role}er has ${role}`)
      }
    }
  })

  it('are not what a caller says of itself, as requests of the node to itself do', async () => {
    const headers = { 'x-troupe-role': 'admin' }
    expect((await rig.call('POST', '/family/keys', { headers })).status).toBe(401)
    const named = { ...headers, ...as('read') }
    expect((await rig.call('POST', '/family/keys', { headers: named })).status).toBe(403)
  })

  it('of methods of /rpc are their own', async () => {
    const batch = ['look', 'do', 'keys'].map((method, id) => ({ jsonrpc: '2.0', method, id }))
    const seen = async (role: Role) =>
      (await rig.call('POST', '/rpc', { body: batch, headers: as(role) })).body.map(
        (one: { result?: unknown; error?: { code: number; data: { code: string } } }) =>
          one.result ?? [one.error?.code, one.error?.data.code],
      )
    const no = [-32000, 'forbidden']
    expect(await seen('read')).toEqual(['reader', no, no])
    expect(await seen('operate')).toEqual(['operateer', 'operateer', no])
    expect(await seen('admin')).toEqual(['adminer', 'adminer', 'adminer'])
  })
})

describe('a token', () => {
  it.each([
    ['Bearer wrong-0123456789abcdef', /no user has this token/],
    [`Bearer ${TOKENS.admin}x`, /no user has this token/],
    [`Bearer ${users[2]?.tokenSha256}`, /no user has this token/],
    [`Basic ${TOKENS.admin}`, /is not "Bearer TOKEN"/],
    ['Bearer', /is not "Bearer TOKEN"/],
  ])('is refused when it is not one: %s', async (authorization, message) => {
    const answer = await rig.call('GET', '/troupe/v1/actors', { headers: { authorization } })
    expect(answer).toMatchObject({ status: 401, body: { error: { code: 'unauthorized' } } })
    expect(answer.body.error.message).toMatch(message)
    expect(answer.text).not.toContain('0123456789abcdef')
    expect(answer.headers['www-authenticate']).toContain('error="invalid_token"')
  })

  it('names the author, whatever the caller says of itself', async () => {
    const headers = { ...as('operate'), 'x-troupe-author': 'the boss' }
    const path = '/troupe/v1/actors/order/authored'
    await rig.call('POST', path, { body: { customer: 'ann' }, headers })
    const history = await rig.call('GET', `${path}/history`, { headers })
    expect(history.body[0]).toMatchObject({ by: 'operateer' })
    await rig.call('POST', `${path}/pause`, { body: {}, headers })
    const audit = await rig.call('GET', '/troupe/v1/audit?actor=order/authored', { headers })
    expect(audit.body.rows[0]).toMatchObject({ operation: 'pause', author: 'operateer' })
    expect(audit.text).not.toContain('the boss')
  })

  it.each(['/family/do', '/troupe/v1/actors/order/x/send', '/rpc'])(
    'is asked for before a body is read: %s',
    async (path) => {
      const socket = connect(rig.gateway.port, '127.0.0.1')
      const head = [`POST ${path} HTTP/1.1`, 'host: x', 'content-length: 1000', '', '']
      socket.write(head.join('\r\n'))
      const [first] = await new Promise<Buffer[]>((resolve) => {
        socket.once('data', (data) => resolve([data]))
      })
      expect(first?.toString()).toMatch(/^HTTP\/1.1 401 /)
      socket.destroy()
    },
  )

  it('is enough under any name of the machine, for a page of another site never', async () => {
    const host = { host: 'troupe.example:9800', ...as('read') }
    expect((await rig.call('GET', '/troupe/v1/count', { headers: host })).status).toBe(200)
    const own = { ...host, origin: 'https://troupe.example:9800' }
    expect((await rig.call('GET', '/troupe/v1/count', { headers: own })).status).toBe(200)
    const foreign = { ...host, origin: 'http://evil.example' }
    expect((await rig.call('GET', '/troupe/v1/count', { headers: foreign })).status).toBe(403)
  })
})

describe('the list of users', () => {
  let directory: string
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'troupe-users-'))
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))

  const file = async (name: string, content: string) => {
    const path = join(directory, name)
    await writeFile(path, content)
    return path
  }

  it('takes tokens from files', async () => {
    const tokenFile = await file('token', `${TOKENS.read}\n`)
    const gateway = await createGateway({
      node: rig.node,
      port: 0,
      users: [{ name: 'ann', role: 'read', tokenFile }],
    })
    expect((await call(gateway.url, 'GET', '/troupe/v1/actors')).status).toBe(401)
    expect((await call(gateway.url, 'GET', '/metrics', { headers: as('read') })).status).toBe(200)
    await gateway.close()
  })

  it.each([
    ['short', 'too-short-secret', /0\.tokenFile: .*short: a token is one line of at least 16/],
    ['two words', 'not one word but two', /0\.tokenFile: .*two words: a token is one line/],
    ['large', 'x'.repeat(5_000), /large: it is too large/],
  ])('refuses a file that holds no token: %s', async (name, content, message) => {
    const short = content.slice(0, name === 'short' ? 15 : undefined)
    const one = { name: 'ann', role: 'read', tokenFile: await file(name, short) } as const
    const refused = createGateway({ node: rig.node, port: 0, users: [one] })
    await expect(refused).rejects.toThrow(message)
    await expect(refused).rejects.not.toThrow(short)
  })

  it('refuses a file that is not there, no token, two forms, and two users with one', async () => {
    const open = (...wrong: UserConfig[]) =>
      createGateway({ node: rig.node, port: 0, users: wrong })
    const ann = { name: 'ann', role: 'read' } as const
    const [, , admin] = users as [UserConfig, UserConfig, UserConfig]
    await expect(open({ ...ann, tokenFile: join(directory, 'no') })).rejects.toThrow(/no such file/)
    await expect(open(ann)).rejects.toThrow(/exactly one of/)
    await expect(open({ ...admin, tokenFile: 'x' })).rejects.toThrow(/exactly one of/)
    await expect(open({ ...ann, tokenSha256: 'abc' })).rejects.toThrow(/64 hexadecimal/)
    await expect(open(admin, { ...admin, name: 'bea' })).rejects.toThrow(
      /http\.users\.1: bea and adminer have the same token/,
    )
  })
})
