/** The generic API over HTTP: what works, on a real node. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { until } from '../waiting.ts'
import { type Rig, startRig } from './rig.ts'

let rig: Rig
beforeAll(async () => {
  rig = await startRig()
})
afterAll(() => rig.close())

describe('one actor', () => {
  it('is started, driven, read and closed', async () => {
    const started = await rig.call('POST', '/troupe/v1/actors/order/1', {
      body: { customer: 'ann' },
    })
    expect(started).toMatchObject({
      status: 201,
      body: { address: 'order/1', value: 'draft', turn: 1 },
    })
    expect(started.headers['location']).toBe('/troupe/v1/actors/order/1')

    const sent = await rig.call('POST', '/troupe/v1/actors/order/1/send', {
      body: { type: 'OPEN', amount: 5 },
    })
    expect(sent).toMatchObject({ status: 200, body: { value: 'open', handled: true } })

    const asked = await rig.call('POST', '/troupe/v1/actors/order/1/send', {
      body: { type: 'ASK' },
    })
    expect(asked.body.reply).toEqual({ amount: 5 })

    const view = await rig.call('GET', '/troupe/v1/actors/order/1/')
    expect(view.body).toMatchObject({
      value: 'open',
      tags: ['waiting'],
      index: { customer: 'ann', amount: 5 },
    })

    const legal = await rig.call('GET', '/troupe/v1/actors/order/1/events')
    expect(legal.body.map((one: { type: string }) => one.type)).toEqual(['ASK', 'CLOSE', 'PAY'])

    const history = await rig.call('GET', '/troupe/v1/actors/order/1/history?limit=2')
    expect(history.body.map((one: { cause: string }) => one.cause)).toEqual(['ASK', 'OPEN'])
    const older = await rig.call(
      'GET',
      `/troupe/v1/actors/order/1/history?before=${history.body[1].turn}`,
    )
    expect(older.body).toHaveLength(1)

    const closed = await rig.call('POST', '/troupe/v1/actors/order/1/send', {
      body: { type: 'CLOSE' },
    })
    expect(closed.body.status).toBe('done')
    const gone = await rig.call('DELETE', '/troupe/v1/actors/order/1')
    expect(gone.status).toBe(200)
    expect((await rig.call('GET', '/troupe/v1/actors/order/1')).body.error.code).toBe(
      'unknown-actor',
    )
  })

  it('lives under any id that the rules allow', async () => {
    for (const id of [
      'a/b',
      'per%cent',
      '100%25',
      'sp ace',
      'ünï',
      'a+b',
      '..',
      'children',
      'send',
    ]) {
      const path = await rig.start(id)
      const view = await rig.call('GET', path)
      expect(view.body.address, id).toBe(`order/${view.body.address.slice(6)}`)
      expect(decodeURIComponent(view.body.address.slice(6))).toBe(id)
    }
  })

  it('applies a command once, however often its key is sent', async () => {
    const path = await rig.start('twice')
    const headers = { 'idempotency-key': `${Date.now()}-open-twice` }
    const body = { type: 'OPEN', amount: 7 }
    const first = await rig.call('POST', `${path}/send`, { body, headers })
    const second = await rig.call('POST', `${path}/send`, { body, headers })
    expect(first.status).toBe(200)
    expect([second.status, second.text]).toEqual([first.status, first.text])
    expect((await rig.call('GET', path)).body.turn).toBe(first.body.turn)
  })

  it('keeps digits that JSON numbers would lose', async () => {
    const path = await rig.start('big')
    const body = '{"type":"BIG","id":{"$bigint":"9007199254740993"}}'
    const sent = await rig.call('POST', `${path}/send`, { body })
    expect(sent.text).toContain('"reply":{"$bigint":"9007199254740994"}')
  })

  it('keeps events while paused, and goes on', async () => {
    const path = await rig.start('paused')
    const paused = await rig.call('POST', `${path}/pause`, {
      body: { reason: 'look at it' },
      headers: { 'x-troupe-author': Buffer.from('zoë', 'utf8').toString('latin1') },
    })
    expect(paused).toMatchObject({ status: 200, body: { paused: true } })
    const kept = await rig.call('POST', `${path}/send`, { body: { type: 'OPEN', amount: 1 } })
    expect(kept.body).toMatchObject({ value: 'draft', kept: 1 })
    const view = await rig.call('GET', path)
    expect(view.body.paused).toMatchObject({ reason: 'look at it' })
    const resumed = await rig.call('POST', `${path}/resume`)
    expect(resumed.body.paused).toBe(false)
    await until(
      async () => (await rig.call('GET', path)).body.value === 'open',
      { timeoutMs: 20_000 },
      'the kept event to be taken',
    )
    const audit = await rig.call('GET', `/troupe/v1/audit?actor=order/paused&limit=10`)
    expect(audit.body.rows.map((row: { operation: string }) => row.operation)).toEqual([
      'resume',
      'pause',
    ])
    expect(audit.body.rows[1]).toMatchObject({ author: 'zoë' })
  })

  it('resumes at a state', async () => {
    const path = await rig.start('resumed')
    await rig.call('POST', `${path}/pause`)
    const resumed = await rig.call('POST', `${path}/resume`, { body: { state: 'open' } })
    expect(resumed).toMatchObject({ status: 200, body: { value: 'open', paused: false } })
  })

  it('parks with its reason when a task fails for good, and retries', async () => {
    const path = await rig.start('parked')
    await rig.call('POST', `${path}/send`, { body: { type: 'OPEN', amount: 5_000 } })
    await rig.call('POST', `${path}/send`, { body: { type: 'PAY' } })
    const view = await until(
      async () => {
        const { body } = await rig.call('GET', path)
        return body.parked && body
      },
      { timeoutMs: 10_000 },
      'the actor to be parked',
    )
    expect(view.parked.error.message).toContain('the bank refuses')
    const patched = await rig.call('PATCH', path, { body: { amount: 5 } })
    expect(patched.status).toBe(200)
    const retried = await rig.call('POST', `${path}/resume`, { body: { retry: true } })
    expect(retried.body.parked).toBe(false)
    await until(
      async () => (await rig.call('GET', path)).body.value === 'paid',
      { timeoutMs: 10_000 },
      'the task to succeed',
    )
  })

  it('is cancelled with a reason', async () => {
    const path = await rig.start('cancelled')
    const cancelled = await rig.call('POST', `${path}/cancel`, {
      body: { reason: 'no longer wanted' },
    })
    expect(cancelled).toMatchObject({ status: 200, body: { status: 'stopped' } })
  })
})

it.each([
  ['a whole URL, as proxies send it', 'http://127.0.0.1/troupe/v1/actors/order/t'],
  ['needless escapes', '/troupe/v1/%61ctors/order/t'],
])('reads %s', async (_what, path) => {
  await rig.start('t').catch(() => {})
  expect(await rig.call('GET', path)).toMatchObject({ status: 200, body: { address: 'order/t' } })
})

describe('dry runs', () => {
  it.each([
    ['POST', '/send', { type: 'OPEN', amount: 3 }, { value: 'open', handled: true }],
    ['POST', '/pause', {}, { value: 'draft' }],
    ['POST', '/resume', { state: 'open' }, { value: 'open' }],
    ['PATCH', '', { amount: 9 }, { contextDiff: [{ path: 'amount', before: 0, after: 9 }] }],
    ['POST', '/cancel', {}, { dryRun: true }],
    ['DELETE', '', undefined, { dryRun: true }],
  ])('%s %s changes nothing', async (method, verb, body, expected) => {
    const path = await rig.start(`dry${method}${verb.replace('/', '')}`)
    if (verb === '/resume') await rig.call('POST', `${path}/pause`)
    const before = await rig.call('GET', path)
    const dry = await rig.call(method, `${path}${verb}?dryRun=true`, { body })
    expect(dry).toMatchObject({ status: 200, body: { dryRun: true, ...expected } })
    expect((await rig.call('GET', path)).body).toEqual(before.body)
  })

  it('of a start makes no actor', async () => {
    const dry = await rig.call('POST', '/troupe/v1/actors/order/dry?dryRun', {
      body: { customer: 'x' },
    })
    expect(dry).toMatchObject({ status: 200, body: { dryRun: true, value: 'draft' } })
    expect((await rig.call('GET', '/troupe/v1/actors/order/dry')).status).toBe(404)
  })
})

describe('secrets', () => {
  it('are in no view', async () => {
    const path = await rig.start('secret', { customer: 'ann', card: 'CARD-4711' })
    const dry = await rig.call('PATCH', `${path}?dryRun=true`, { body: { card: 'CARD-4712' } })
    await rig.call('PATCH', path, { body: { card: 'CARD-4713' } })
    const answers = [
      dry,
      await rig.call('GET', path),
      await rig.call('GET', '/troupe/v1/audit'),
      await rig.call('GET', '/troupe/v1/actors?machine=order'),
      await rig.call('GET', `${path}/history`),
    ]
    for (const { text } of answers) expect(text).not.toContain('CARD-')
    expect(dry.body.contextDiff).toEqual([{ path: 'card', before: '•••', after: '•••' }])
    expect(answers[1]?.body.context.card).toBe('•••')
  })
})
