/** `X-Troupe-Timeout-Ms`: how long a caller waits, whatever it asks. */
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { z } from 'zod'
import { type AppRequest, type AppResponse, defineApp } from '../../src/node/index.ts'
import { until } from '../waiting.ts'
import { type Rig, startRig } from './rig.ts'

const NEVER = new Promise<never>(() => {})

let asked: AppRequest | undefined
/** What the next handler answers. */
let answer: (request: AppRequest) => Promise<AppResponse> = () => NEVER

const app = defineApp({
  name: 'patient',
  routes: () => [
    {
      method: 'GET',
      path: '/patient',
      handle: (request) => {
        asked = request
        return answer(request)
      },
    },
  ],
  methods: () => [
    { name: 'never', params: z.unknown(), handle: () => NEVER },
    { name: 'now', params: z.unknown(), handle: async () => 'now' },
  ],
})

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ apps: [app] })
})
afterAll(() => rig.close())
beforeEach(() => {
  asked = undefined
})

const within = (timeoutMs: number | string) => ({
  headers: { 'x-troupe-timeout-ms': `${timeoutMs}` },
})

describe('a route of an app', () => {
  it('ends with the time of its caller, and is told', async () => {
    answer = () => NEVER
    const late = await rig.call('GET', '/patient', within(150))
    expect(late).toMatchObject({
      status: 504,
      body: { error: { code: 'no-answer', retry: true } },
    })
    expect(late.text).toContain('150 ms')
    expect([asked?.timeoutMs, asked?.signal.aborted]).toEqual([150, true])
  })

  it('that answers in time is as it was', async () => {
    answer = async () => ({ status: 201, body: 'made' })
    const made = await rig.call('GET', '/patient', within(60_000))
    expect([made.status, made.text, asked?.signal.aborted]).toEqual([201, 'made', false])
    await rig.call('GET', '/patient')
    expect(asked && 'timeoutMs' in asked).toBe(false)
  })

  it('may stream for longer than its caller waits for the beginning', async () => {
    answer = async (request) => ({
      body: (async function* () {
        yield 'a'
        await until(() => performance.now() > began + 300, { timeoutMs: 20_000 }, 'later')
        yield request.signal.aborted ? 'cut' : 'z'
      })(),
    })
    const began = performance.now()
    expect((await rig.call('GET', '/patient', within(100))).text).toBe('az')
  })

  it('has what it streams too late ended for it', async () => {
    const stream = Readable.from(['late'])
    answer = async ({ signal }) => {
      await until(() => signal.aborted, { timeoutMs: 20_000 }, 'the end of the time')
      return { body: stream }
    }
    expect((await rig.call('GET', '/patient', within(50))).status).toBe(504)
    await until(() => stream.destroyed, { timeoutMs: 20_000 }, 'the end of the stream')
  })

  it.each(['0', '-5', '1.5', 'soon', '300001'])('is not begun for a time of %s', async (text) => {
    const { status, body } = await rig.call('GET', '/patient', within(text))
    expect([status, body.error.code, asked]).toEqual([400, 'malformed', undefined])
  })
})

it('a method ends with the time of its caller', async () => {
  const call = (method: string) => ({ body: { jsonrpc: '2.0', id: 1, method, params: {} } })
  const late = await rig.call('POST', '/rpc', { ...call('never'), ...within(100) })
  expect([late.status, late.body.error.code]).toEqual([504, 'no-answer'])
  const done = await rig.call('POST', '/rpc', { ...call('now'), ...within(60_000) })
  expect(done.body.result).toBe('now')
})

it.each([
  ['actors', 'list'],
  ['count', 'count'],
  ['audit', 'audit'],
  ['dead-letters', 'deadLetters'],
  ['shards', 'shards'],
] as const)('%s asks the shards within the time of its caller', async (path, name) => {
  const asks = vi.spyOn(rig.node.client, name)
  await rig.call('GET', `/troupe/v1/${path}`, within(4_321))
  expect(asks.mock.lastCall?.at(-1)).toMatchObject({ timeoutMs: 4_321 })
  asks.mockRestore()
})
