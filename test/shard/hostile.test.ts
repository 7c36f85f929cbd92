/** Whatever comes from outside is answered; it never stops a shard (P8). */
import { describe, expect, it } from 'vitest'
import { tell } from '../../src/machine/index.ts'
import { type Outcome, pack, subjectsOf, unpack } from '../../src/protocol/index.ts'
import { OWNER } from './harness.ts'
import {
  code,
  commandId,
  counter,
  failure,
  get,
  host,
  job,
  open,
  see,
  start,
  theTask,
} from './support.ts'

type H = ReturnType<typeof open>

/** Bytes to a shard, past what the client checks; what came back, or undefined. */
async function raw(h: H, subject: 'shard' | 'relay', payload: Uint8Array): Promise<unknown> {
  let answer: unknown
  h.transport.request(
    { subject: subjectsOf('test')[subject](0), payload, timeoutMs: 1_000 },
    (outcome) => {
      if (outcome.kind === 'reply') answer = unpack(outcome.payload)
    },
  )
  await h.advance(50)
  return answer
}

/** A list in a list in a list: msgpack reads far deeper ones than it writes. */
function nested(depth: number): unknown {
  let value: unknown = 0
  for (let level = 0; level < depth; level++) value = [value]
  return value
}

/** The pack of `value`, in which the number 0x7fffffff stands for a list that is nested `depth` deep. */
function packDeep(value: unknown, depth: number): Uint8Array {
  const bytes = Buffer.from(pack(value))
  const at = bytes.indexOf(Buffer.of(0xce, 0x7f, 0xff, 0xff, 0xff))
  const list = Buffer.concat([Buffer.alloc(depth, 0x91), Buffer.of(0xc0)])
  return Buffer.concat([bytes.subarray(0, at), list, bytes.subarray(at + 5)])
}
const DEEP = 0x7fffffff

describe('an operation with fields of another', () => {
  it('is refused', async () => {
    const m = host(
      'm',
      { invoke: { src: 't', id: 't' }, on: { GO: {} } },
      { actors: { t: job('t') } },
    )
    const h = open([m])
    await start(h, 'm/1')
    const { taskId } = await theTask(h, 'm/1')
    const odd = { op: 'send', event: { type: 'GO' }, taskId }
    const error = await failure(h, h.client.execute('m/1', odd as never))
    expect([error.code, error.message]).toEqual(['malformed', expect.stringContaining('taskId')])
    expect(h.stops).toEqual([])
  })
})

it('one reply of a request does not take the others with it', async () => {
  const h = open([counter], { shardCount: 1 })
  const engine = h.engines[0]!
  const submit = engine.submit.bind(engine)
  Object.assign(engine, {
    submit: (...[command, bytes, done]: Parameters<typeof submit>) =>
      command.address === 'counter/odd'
        ? done({ ok: () => 0, durability: 'flushed' })
        : submit(command, bytes, done),
  })
  const commands = ['counter/odd', 'counter/a'].map((address) => ({
    op: 'start',
    address,
    id: commandId(h),
  }))
  expect(await raw(h, 'shard', pack(commands))).toMatchObject([
    { error: { code: 'internal' } },
    { ok: { address: 'counter/a' } },
  ])
})

describe('what is nested too deep', () => {
  it.each([true, false])('is refused, to a paused actor: %s', async (paused) => {
    const m = host('m', { on: { GO: { actions: see('go') } } })
    const h = open([m], { shardCount: 1 })
    await start(h, 'm/1')
    if (paused) await h.run(h.client.pause('m/1'))
    const command = {
      op: 'send',
      address: 'm/1',
      id: commandId(h),
      event: { type: 'GO', x: DEEP },
    }
    expect(await raw(h, 'shard', packDeep([command], 2_000))).toMatchObject([
      { error: { code: 'too-large', detail: { limit: 'nestingMax' } } },
    ])
    expect(h.stops).toEqual([])
    const event = { type: 'GO', x: nested(h.limits.nestingMax - 1) }
    expect(await h.run(h.client.send('m/1', event))).toMatchObject({ turn: 2 })
  })

  it.each([
    ['start', { op: 'start', address: 'm/2', input: DEEP }],
    ['patch', { op: 'patch', address: 'm/1', merge: { x: DEEP } }],
    ['task.done', { op: 'task.done', address: 'm/1', taskId: 't', token: 'x', output: DEEP }],
    ['task.beat', { op: 'task.beat', address: 'm/1', taskId: 't', token: 'x', progress: DEEP }],
    [
      'task.failed',
      {
        op: 'task.failed',
        address: 'm/1',
        taskId: 't',
        token: 'x',
        failure: { class: 'permanent', message: '', detail: DEEP },
      },
    ],
  ])('%s', async (_name, command) => {
    const h = open([host('m', {})], { shardCount: 1 })
    await start(h, 'm/1')
    const payload = packDeep([{ ...command, id: commandId(h) }], 2_000)
    expect(await raw(h, 'shard', payload)).toMatchObject([{ error: { code: 'too-large' } }])
    expect(h.stops).toEqual([])
  })
})

describe('messages of another shard', () => {
  const message = { from: 'a/1', to: 'counter/1', event: { type: 'ADD', by: 1 } }
  const request = { from: 1, generation: 1, oldest: 1, first: 1, messages: [message] }

  it.each<[string, unknown]>([
    ['nothing', null],
    ['a text', 'x'],
    ['no sender', { ...request, from: undefined }],
    ['a sender beyond all shards', { ...request, from: 70_000 }],
    ['no generation', { ...request, generation: 'x' }],
    ['no number', { ...request, first: 0.5 }],
    ['no list', { ...request, messages: {} }],
    ['nothing as a message', { ...request, messages: [null] }],
    ['no event', { ...request, messages: [{ ...message, event: undefined }] }],
    ['an event without a type', { ...request, messages: [{ ...message, event: {} }] }],
    ['no target', { ...request, messages: [{ ...message, to: undefined }] }],
    ['a target that is no address', { ...request, messages: [{ ...message, to: 'nowhere' }] }],
    ['a sender that is no address', { ...request, messages: [{ ...message, from: '' }] }],
  ])('%s is refused', async (_name, odd) => {
    const h = open([counter], { shardCount: 1 })
    await start(h, 'counter/1')
    expect(await raw(h, 'relay', pack(odd))).toMatchObject({
      error: { code: expect.stringMatching(/malformed|invalid-address/) },
    })
    expect(h.stops).toEqual([])
    expect(await raw(h, 'relay', pack(request))).toEqual({ acked: 1 })
    expect((await get(h, 'counter/1')).context).toMatchObject({ n: 1 })
  })

  it('nested too deep', async () => {
    const h = open([counter], { shardCount: 1 })
    const odd = { ...request, messages: [{ ...message, event: { type: 'ADD', x: DEEP } }] }
    expect(await raw(h, 'relay', packDeep(odd, 2_000))).toMatchObject({
      error: { code: 'too-large' },
    })
    expect(h.stops).toEqual([])
  })
})

it('what a shard broke on is told so, and is not tried again; the rest may be', async () => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  const found: Outcome[] = []
  const submit = (command: object) =>
    h.engines[0]!.submit(command as never, 10, (outcome) => void found.push(outcome))
  const event = { type: 'ADD', by: 1 }
  submit({ op: 'send', address: 'counter/a', id: commandId(h), event })
  submit({ op: 'send', address: 'counter/a', id: commandId(h), event: null })
  submit({ op: 'send', address: 'counter/a', id: commandId(h), event })
  await h.advance(10)
  expect(h.stops).toMatchObject([{ kind: 'failed' }])
  const codes = found.map((outcome) => 'error' in outcome && outcome.error.code)
  expect(codes.sort()).toEqual(['internal', 'unavailable', 'unavailable'])
})

it('what breaks on the rows of a newer process is not blamed: the shard is lost, not broken', async () => {
  const h = open([counter], { shardCount: 1 })
  await start(h, 'counter/a')
  h.store.write({ writes: [[OWNER.key, Uint8Array.of(2)]], failed: () => {} })
  await h.advance(10)
  const found: Outcome[] = []
  const command = { op: 'send', address: 'counter/a', id: commandId(h), event: null }
  h.engines[0]!.submit(command as never, 10, (outcome) => void found.push(outcome))
  await h.advance(10)
  expect(h.stops).toMatchObject([{ kind: 'lost', why: 'another process owns this data directory' }])
  expect(found).toMatchObject([{ error: { code: 'unavailable' } }])
})

it('a command whose message breaks the shard is told so as well', async () => {
  const sender = host(
    'sender',
    { on: { GO: { actions: 'go' } } },
    { actions: { go: tell({ to: 'counter/odd', event: { type: 'ADD', by: 1 } }) } },
  )
  const h = open([counter, sender], { shardCount: 1 })
  await start(h, 'sender/a')
  await start(h, 'counter/b')
  const read = h.store.get.bind(h.store)
  const get = (key: Uint8Array) => {
    if (Buffer.from(key).includes('counter/odd')) throw new Error('the row is broken')
    return read(key)
  }
  Object.assign(h.store, { get })
  const found: Record<string, Outcome> = {}
  const submit = (address: string, type: string) => {
    const command = { op: 'send', address, id: commandId(h), event: { type, by: 1 } }
    h.engines[0]!.submit(command as never, 10, (outcome) => {
      found[address] = outcome
    })
  }
  submit('counter/b', 'ADD')
  submit('sender/a', 'GO')
  await h.advance(10)
  expect(found).toMatchObject({
    'sender/a': { error: { code: 'internal' } },
    'counter/b': { error: { code: 'unavailable' } },
  })
  expect(h.stops).toMatchObject([{ kind: 'failed' }])
})

describe('the size of a command', () => {
  const note = (bytes: number) => ({ type: 'NOTE', text: 'x'.repeat(bytes) })

  it('is its own, whatever else came with it', async () => {
    const h = open([counter], { shardCount: 1 })
    await start(h, 'counter/a')
    const ask = (event: { type: string }) =>
      h.client.send('counter/a', event).then(
        () => 'ok',
        (thrown: { code: string }) => thrown.code,
      )
    const add = { type: 'ADD', by: 1 }
    expect(await h.run(Promise.all([note(2_000_000), add].map(ask)))).toEqual(['too-large', 'ok'])
    const many = [note(600_000), ...new Array<typeof add>(9).fill(add)]
    expect(await h.run(Promise.all(many.map(ask)))).toEqual([
      'too-large',
      ...new Array<string>(9).fill('ok'),
    ])
  })
})

describe('a count', () => {
  it.each([{ idPrefix: '' }, { idPrefix: '', olderThanMs: 5 }, { olderThanMs: 0 }, { where: {} }])(
    'by what is not counted is refused: %j',
    async (filter) => {
      const h = open([counter])
      expect(await code(h, h.client.count(filter))).toBe('invalid-query')
    },
  )
})
