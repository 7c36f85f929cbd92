/** JSON in, JSON out, for whoever reaches the transport. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type SubjectRequests, serveSubjects } from '../../src/gateway/index.ts'
import type { Transport } from '../../src/ports/index.ts'
import { formatCommandId, subjectsOf } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { type Rig, startRig } from './rig.ts'

const subjects = subjectsOf('troupe')
let rig: Rig
let transport: Transport
let served: SubjectRequests
beforeAll(async () => {
  rig = await startRig()
  transport = rig.node.transport
  served = serveSubjects({ node: rig.node })
})
afterAll(async () => {
  await served.close()
  await rig.close()
})

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
function ask(subject: string, body?: unknown): Promise<any> {
  const text = typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const request = { subject, payload: Buffer.from(text), timeoutMs: 5_000 }
    transport.request(request, (outcome) => {
      if (outcome.kind === 'reply') resolve(JSON.parse(Buffer.from(outcome.payload).toString()))
      else reject(new Error(outcome.kind))
    })
  })
}
const cmd = (verb: string, fields?: object) => ask(subjects.command(verb), fields)
const refusal = async (verb: string, fields?: object) => (await cmd(verb, fields)).error?.message

describe('an actor by its own subject', () => {
  it('takes events, and answers with the turn', async () => {
    expect(await cmd('start', { address: 'order/a', input: { customer: 'ann' } })).toMatchObject({
      ok: { address: 'order/a', value: 'draft' },
    })
    expect(await ask('troupe.troupe.actor.order.a', { type: 'OPEN', amount: 5 })).toMatchObject({
      ok: { value: 'open', handled: true },
    })
    expect((await ask('troupe.troupe.actor.order.a', { type: 'ASK' })).ok.reply).toEqual({
      amount: 5,
    })
  })

  it('has an id of any characters', async () => {
    const address = 'order/a%2Fb.c *>'
    expect((await cmd('start', { address, input: { customer: 'bob' } })).error).toBeUndefined()
    const subject = subjects.actor('order/a%2Fb.c%20%2A%3E')
    expect(subject).toBe('troupe.troupe.actor.order.a%2Fb%2Ec%20%2A%3E')
    expect((await ask(subject, { type: 'OPEN', amount: 7 })).ok.value).toBe('open')
  })

  it.each([
    ['as it was read', { type: 'ASK' }, 0],
    ['as a copy, if a tag may stand for another type', { type: 'ASK', note: '$' }, 1],
    ['as a copy, if it may hold half a character', '{"type":"ASK","note":"\\ud800"}', 1],
  ])('hands the event to the shard of its own node %s', async (_name, body, requests) => {
    const request = vi.spyOn(transport, 'request')
    try {
      const { ok } = await ask('troupe.troupe.actor.order.a', body)
      expect(ok).toMatchObject({ handled: true, reply: { amount: 5 }, durability: 'flushed' })
      const shards = request.mock.calls.filter(([{ subject }]) => subject.includes('.shard.'))
      expect(shards).toHaveLength(requests)
    } finally {
      request.mockRestore()
    }
  })

  it('takes a slash for a part of the id, and an escape wherever it stands', async () => {
    expect((await cmd('start', { address: 'order/x%2Fy', input: { customer: 'z' } })).ok.turn).toBe(
      1,
    )
    for (const subject of ['order.x/y', 'order.x%2Fy', '%6Frder.x%2Fy']) {
      const { ok } = await ask(`troupe.troupe.actor.${subject}`, { type: 'ASK' })
      expect(ok.address, subject).toBe('order/x%2Fy')
    }
  })

  it.each([
    ['not JSON', '{', 'not JSON'],
    ['not an event', { kind: 'OPEN' }, 'an event is a JSON object'],
    ['nothing at all', undefined, 'an event is a JSON object'],
    ['an event of another shape', { type: 'OPEN', amount: 'much' }, 'amount'],
  ])('refuses %s and changes nothing', async (_name, body, why) => {
    const before = (await cmd('get', { address: 'order/a' })).ok
    expect((await ask('troupe.troupe.actor.order.a', body)).error.message).toContain(why)
    expect((await cmd('get', { address: 'order/a' })).ok).toEqual(before)
  })

  it('says that there is none', async () => {
    const { error } = await ask('troupe.troupe.actor.order.none', { type: 'PAY' })
    expect(error).toMatchObject({ code: 'unknown-actor', retry: false })
    expect((await ask('troupe.troupe.actor.order', { type: 'PAY' })).error.code).toBe(
      'invalid-address',
    )
    expect((await ask('troupe.troupe.actor.order.%zz', { type: 'PAY' })).error.message).toContain(
      'percent',
    )
  })

  it('takes what nobody waits for', async () => {
    transport.publish('troupe.troupe.actor.order.a', Buffer.from('{"type":"CLOSE"}'))
    await until(
      async () => (await cmd('get', { address: 'order/a' })).ok.status === 'done',
      { timeoutMs: 5_000 },
      'the order is closed',
    )
  })
})

describe('a verb', () => {
  const address = 'order/v'
  beforeAll(async () => {
    await cmd('start', { address, input: { customer: 'eve', card: '4711' } })
  })

  it('reads: the actor without its secrets, its history, lists and counts', async () => {
    expect((await cmd('get', { address })).ok.context.card).toBe('•••')
    await cmd('send', { address, event: { type: 'OPEN', amount: 1 }, author: 'ann' })
    const [newest, ...older] = (await cmd('history', { address, limit: 2 })).ok
    expect(newest).toMatchObject({ cause: 'OPEN', by: 'ann' })
    expect(older).toHaveLength(1)
    const where = { customer: 'eve' }
    const listed = await cmd('list', { machine: 'order', where, sort: 'amount', desc: true })
    expect(listed.error).toBeUndefined()
    expect(listed.ok.rows.map((row: { address: string }) => row.address)).toEqual([address])
    expect(await cmd('count', { machine: 'order', state: 'open' })).toMatchObject({
      ok: { total: 2 },
    })
    expect((await cmd('shards')).ok.rows.length).toBeGreaterThan(0)
  })

  it('changes: with the fields that paths take, once for each id', async () => {
    const id = formatCommandId(Date.now(), 'once')
    const first = await cmd('pause', { address, reason: 'lunch', id })
    expect(first.ok).toMatchObject({ address, status: 'active' })
    expect(await cmd('pause', { address, reason: 'lunch', id })).toEqual(first)
    expect((await cmd('get', { address })).ok.paused.reason).toBe('lunch')
    expect((await cmd('resume', { address, state: 'draft', dryRun: true })).ok.value).toBe('draft')
    expect((await cmd('resume', { address })).ok.status).toBe('active')
    expect((await cmd('get', { address })).ok.value).toBe('open')
  })

  it.each([
    ['gett', { address }, 'did you mean "get"?'],
    ['get', {}, 'the field "address" is missing'],
    ['get', { address: 'order' }, 'is not an address'],
    ['pause', { address, reson: 'x' }, 'did you mean "reason"?'],
    ['pause', { address, reason: 1 }, 'must be a text'],
    ['send', { address, event: 'OPEN' }, 'an event is a JSON object'],
    ['list', { limit: -1 }, 'whole number'],
    ['list', { machine: ['order'] }, 'must be a text, a number'],
    ['get', { address, timeoutMs: 0 }, 'timeoutMs must be a whole number'],
    ['get', { address, durability: 'none' }, 'durability must be one of'],
    ['get', { address, author: 'a\nb' }, 'printable'],
    ['get', [], 'a request is a JSON object'],
  ])('%s %j is refused: %s', async (verb, fields, why) => {
    expect(await refusal(verb, fields)).toContain(why)
  })

  it('of an administrator has a subject of its own', async () => {
    const patch = { address, merge: { amount: 9 } }
    expect((await cmd('patch', patch)).error).toMatchObject({
      code: 'forbidden',
      message: 'this takes the subject troupe.troupe.admin.patch',
    })
    expect((await ask(subjects.admin('patch'), patch)).ok).toMatchObject({ address })
    expect((await ask(subjects.admin('get'), { address })).ok.context.amount).toBe(9)
    expect((await cmd('delete', { address })).error.code).toBe('forbidden')
    expect((await ask(subjects.admin('delete'), { address })).error).toBeUndefined()
  })
})

it('is a service to the tools of NATS', async () => {
  const before = (await ask('$SRV.STATS.troupe')).endpoints[1]
  await cmd('get', { address: 'order/none' })
  expect(await ask('$SRV.PING')).toMatchObject({
    ...{ type: 'io.nats.micro.v1.ping_response', name: 'troupe', id: 'troupe-n1' },
    metadata: { cluster: 'troupe', node: 'n1' },
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
  })
  expect(await ask('$SRV.INFO.troupe.troupe-n1')).toMatchObject({
    type: 'io.nats.micro.v1.info_response',
    endpoints: [
      { name: 'actor', subject: 'troupe.troupe.actor.>', queue_group: 'gateway' },
      { name: 'cmd', subject: 'troupe.troupe.cmd.*' },
      { name: 'admin', subject: 'troupe.troupe.admin.*' },
    ],
  })
  const { type, started, endpoints } = await ask('$SRV.STATS')
  expect(type).toBe('io.nats.micro.v1.stats_response')
  expect(Date.parse(started)).toBeLessThanOrEqual(Date.now())
  expect(endpoints[1]).toMatchObject({
    num_requests: before.num_requests + 1,
    num_errors: before.num_errors + 1,
    last_error: expect.stringContaining('unknown-actor: '),
  })
  const { processing_time, num_requests, average_processing_time } = endpoints[1]
  expect(processing_time).toBeGreaterThan(before.processing_time)
  expect(average_processing_time).toBe(Math.round(processing_time / num_requests))
})

it('answers nothing larger than can be carried', async () => {
  await served.close()
  for (const id of ['1', '2', '3', '4']) await rig.start(id)
  const closing = serveSubjects({ node: rig.node, answerBytesMax: 600 })
  const answer = (limit: number) =>
    new Promise<string>((resolve) => {
      const payload = Buffer.from(JSON.stringify({ machine: 'order', limit }))
      const request = { subject: subjects.command('list'), payload, timeoutMs: 5_000 }
      transport.request(request, (outcome) =>
        resolve(outcome.kind === 'reply' ? Buffer.from(outcome.payload).toString() : outcome.kind),
      )
    })
  expect(await answer(1)).toContain('"order/')
  expect(await answer(4)).toContain('more than 600 (answerBytesMax): ask for less')
  await closing.close()
})

it('says that it is busy past its bound', async () => {
  await served.close()
  const narrow = serveSubjects({ node: rig.node, requestsMax: 2 })
  const answers: string[] = []
  for (let i = 0; i < 3; i++) {
    const payload = Buffer.from(JSON.stringify({ address: 'order/none' }))
    transport.request(
      { subject: subjects.command('get'), payload, timeoutMs: 5_000 },
      (outcome) => {
        const text =
          outcome.kind === 'reply' ? Buffer.from(outcome.payload).toString() : outcome.kind
        answers.push(/"code":"([a-z-]+)"/.exec(text)?.[1] ?? text)
      },
    )
  }
  await until(() => answers.length === 3, { timeoutMs: 5_000 }, 'all are answered')
  expect(answers).toEqual(['busy', 'unknown-actor', 'unknown-actor'])
  await narrow.close()
})

it('answers what is under way before it is closed, and hears nothing after', async () => {
  await served.close()
  const closing = serveSubjects({ node: rig.node })
  const outcomes: string[] = []
  const send = () => {
    const payload = Buffer.from(JSON.stringify({ address: 'order/none' }))
    const request = { subject: subjects.command('get'), payload, timeoutMs: 5_000 }
    transport.request(request, ({ kind }) => outcomes.push(kind))
  }
  send()
  const heard = transport.subscribe(subjects.command('get'), {}, () => {
    heard.unsubscribe()
    // Once the others have it, too, and before it is answered.
    queueMicrotask(() => closing.close().then(() => outcomes.push('closed')))
  })
  await until(() => outcomes.length === 2, { timeoutMs: 5_000 }, 'it is closed')
  expect(outcomes.sort()).toEqual(['closed', 'reply'])
  expect(transport.hears(subjects.command('get'))).toBe(false)
})
