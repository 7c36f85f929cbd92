/** What the gateway writes to the log: one line per change and refusal, and never a secret. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defineApp, openLog } from '../../src/node/index.ts'
import type { UserConfig } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { call, type Rig, startRig } from './rig.ts'

const TOKEN = 'a-0123456789abcdef'
const tokenSha256 = createHash('sha256').update(TOKEN).digest('hex')
const users: UserConfig[] = [{ name: 'ann', role: 'operate', tokenSha256 }]

const family = defineApp({
  name: 'family',
  routes: () => [
    { method: 'POST', path: '/family/do', handle: async () => ({}) },
    { method: 'POST', path: '/family/beat', isFrequent: true, handle: async () => ({}) },
    { method: 'POST', path: '/family/look', role: 'read', handle: async () => ({}) },
    { method: 'POST', path: '/family/open', role: 'public', handle: async () => ({}) },
    {
      method: 'POST',
      path: '/family/break',
      handle: async ({ headers }) => {
        throw Object.assign(new Error('broken'), { config: { headers } })
      },
    },
  ],
  methods: () => [
    { name: 'do', params: z.unknown(), handle: async () => 1 },
    { name: 'look', role: 'read', params: z.unknown(), handle: async () => 1 },
  ],
})

interface Line {
  level: string
  msg: string
  [field: string]: unknown
}
let lines: Line[] = []
let text = ''
let rig: Rig
beforeAll(async () => {
  const write = (line: string) => {
    text += line
    lines.push(JSON.parse(line) as Line)
  }
  const log = openLog({ level: 'debug', destination: { write } })
  rig = await startRig({ apps: [family], gateway: { users, log } })
})
beforeEach(() => {
  lines = []
  text = ''
})
afterAll(() => rig.close())

const headers = { authorization: `Bearer ${TOKEN}` }
const ask = (method: string, path: string, body?: unknown, more: Record<string, string> = {}) =>
  call(rig.gateway.url, method, path, { body, headers: { ...headers, ...more } })
const told = (message: string) => lines.filter(({ msg }) => msg === message)
const requests = () => told('a request')

describe('a change of an actor', () => {
  it('is one line with address and command id, and the caller is told the id', async () => {
    const path = '/troupe/v1/actors/order/logged'
    const started = await ask('POST', path, { customer: 'ann', card: '4711-0815' })
    const id = String(started.headers['x-troupe-command-id'])
    const more = { 'idempotency-key': `${Date.now()}-mine` }
    const sent = await ask('POST', `${path}/send`, { type: 'ASK' }, more)
    expect(sent.headers['x-troupe-command-id']).toBe(more['idempotency-key'])
    expect(told('a command was applied')).toMatchObject([
      { level: 'info', address: 'order/logged', op: 'start', command: id, author: 'ann' },
      { level: 'info', op: 'send', command: more['idempotency-key'] },
    ])
    const history = await ask('GET', `${path}/history`)
    expect(history.body[1]).toMatchObject({ commandId: id, by: 'ann' })
    expect(text).not.toContain('4711')
  })

  it('that is looked at, tried only or refused is none', async () => {
    const path = '/troupe/v1/actors/order/unchanged'
    await ask('POST', `${path}?dryRun`, { customer: 'ann' })
    await ask('GET', path)
    await ask('POST', `${path}/send`, { type: 'PAY' })
    await until(() => requests().length === 3, { timeoutMs: 5_000 }, 'three requests')
    expect(lines.filter(({ level }) => level !== 'debug')).toEqual([])
  })
})

it('what an operator asks of an app is a line; what is public or only looks is none', async () => {
  for (const name of ['do?token=secret-in-query', 'look', 'open'])
    await ask('POST', `/family/${name}`)
  const calls = ['do', 'look'].map((method, id) => ({ jsonrpc: '2.0', method, id }))
  await ask('POST', '/rpc', calls)
  await until(() => requests().length === 4, { timeoutMs: 5_000 }, 'four requests')
  expect(lines.filter(({ level }) => level === 'info')).toMatchObject([
    { app: 'family', method: 'POST', path: '/family/do', author: 'ann' },
    { method: 'do', author: 'ann' },
  ])
  expect(text).not.toContain('secret-in-query')
})

it('what programs ask for all day long is a line at debug', async () => {
  await ask('POST', '/family/beat')
  await until(() => told('an app was asked for a change').length === 1, { timeoutMs: 5_000 }, 'it')
  expect(told('an app was asked for a change')).toMatchObject([
    { level: 'debug', path: '/family/beat', author: 'ann' },
  ])
})

it('every request is a line at debug, with its status and time', async () => {
  await ask('GET', '/troupe/v1/actors?limit=1')
  await ask('GET', '/nothing')
  await until(() => requests().length === 2, { timeoutMs: 5_000 }, 'two requests')
  const seen = { level: 'debug', method: 'GET', ms: expect.any(Number), from: '127.0.0.1' }
  expect(requests()).toMatchObject([
    { ...seen, path: '/troupe/v1/actors', status: 200 },
    { ...seen, path: '/nothing', status: 404 },
  ])
})

it('whoever is refused is a line, without what was given as a token', async () => {
  const path = '/troupe/v1/actors/order/1?token=secret-in-query'
  await ask('DELETE', path)
  await ask('GET', path, undefined, { authorization: 'Bearer wrong-0123456789abc' })
  // A stranger must not fill the log.
  const long = `/troupe/v1/actors/order/${'x'.repeat(4_000)}`
  await ask('GET', long, undefined, { authorization: 'Bearer wrong-0123456789abc' })
  expect(told('a caller was refused')[2]).toMatchObject({ path: long.slice(0, 200) })
  expect(told('a caller was refused').slice(0, 2)).toMatchObject([
    { level: 'warn', method: 'DELETE', path: '/troupe/v1/actors/order/1', from: '127.0.0.1' },
    { why: expect.stringContaining('no user has this token') },
  ])
  expect(text).not.toMatch(/secret-in-query|0123456789/)
})

it('an error that carries a whole request shows no token', async () => {
  const answer = await ask('POST', '/family/break', undefined, { cookie: 'session=0123456789' })
  expect(answer.status).toBe(500)
  const [failed] = told('a request failed')
  expect(failed).toMatchObject({
    level: 'error',
    err: { config: { headers: { authorization: '[redacted]', cookie: '[redacted]' } } },
  })
  expect(text).not.toContain('0123456789')
  expect(answer.text).not.toContain('broken')
})
