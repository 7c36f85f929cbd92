/** Each of the bounds that keep a batch within its slot, and what is said of it. */
import { expect, it } from 'vitest'
import { sendParent, sendTo } from 'xstate'
import { MemoryStore, SeededRandom, VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { tell } from '../../src/machine/index.ts'
import type { Transport } from '../../src/ports/index.ts'
import {
  type Outcome,
  pack,
  resolveLimits,
  shardOf,
  subjectsOf,
  unpack,
} from '../../src/protocol/index.ts'
import { Channels } from '../../src/shard/channels.ts'
import { outboxEndKey, outboxKey } from '../../src/shard/keys.ts'
import { bulk } from './bulk.ts'
import {
  type Args,
  change,
  chart,
  code,
  commandId,
  failure,
  get,
  host,
  open,
  restart,
  rows,
  send,
  start,
  theTask,
} from './support.ts'

const KB = 1_000

/** Two actors, the first on shard 0 and the second on shard 1. */
async function apart(h: ReturnType<typeof open>): Promise<[string, string]> {
  const on = (shard: number) =>
    Array.from({ length: 99 }, (_, n) => `bulk/${n}`).find((at) => shardOf(at, 2) === shard)!
  for (const shard of [0, 1]) await start(h, on(shard))
  return [on(0), on(1)]
}

const countOf = (h: ReturnType<typeof open>, table: number) =>
  rows(h).filter(({ key }) => key[2] === table).length

/** Bytes of the largest batch that is committed from now on. */
function watch(h: ReturnType<typeof open>): { largest: number } {
  const seen = { largest: 0 }
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) => {
    const sizes = transaction.writes.map(([key, value]) => key.length + (value?.length ?? 0))
    seen.largest = Math.max(
      seen.largest,
      sizes.reduce((sum, one) => sum + one, 0),
    )
    write(transaction)
  }
  return seen
}

it.each([
  ['sends', 'TELL', { to: 'bulk/b', by: 400 * KB, count: 2 }],
  ['starts as tasks', 'TASKS', { by: 300 * KB, count: 2 }],
  ['starts as children', 'KIDS', { by: 10, count: 500, to: 'x'.repeat(10) }],
])(
  'what a turn %s counts, and nothing of one that is too large happens',
  async (_, type, fields) => {
    const h = open([bulk], { shardCount: 1, limits: { ...SMALL[type] } })
    await start(h, 'bulk/a')
    const before = rows(h)
    const error = await failure(h, h.client.send('bulk/a', { type, ...fields }))
    expect(error.code).toBe('too-large')
    expect(['turnBytesMax', 'actorBytesMax']).toContain((error.detail as { limit: string }).limit)
    expect(rows(h)).toEqual(before)
    expect(await send(h, 'bulk/a', type, { ...fields, count: 1 })).toMatchObject({ handled: true })
  },
)

it('what a turn answers counts', async () => {
  const h = open([bulk], { shardCount: 1 })
  await start(h, 'bulk/a')
  await send(h, 'bulk/a', 'GROW', { by: 300 * KB })
  const error = await failure(h, h.client.send('bulk/a', { type: 'REPLY', by: 400 * KB }))
  expect(error).toMatchObject({ code: 'too-large', detail: { limit: 'turnBytesMax' } })
  expect(await send(h, 'bulk/a', 'REPLY', { by: 200 * KB })).toMatchObject({ handled: true })
})

const SMALL: Record<string, object> = {
  KIDS: { payloadBytesMax: 20 * KB, actorBytesMax: 60 * KB, turnBytesMax: 80 * KB },
}

it('an actor and what arrives have to fit together, for one of them may stop the other', async () => {
  const h = open([bulk], { shardCount: 1 })
  await start(h, 'bulk/a')
  await send(h, 'bulk/a', 'GROW', { by: 400 * KB })
  const large = { type: 'NOTE', text: 'x'.repeat(300 * KB) }
  const error = await failure(h, h.client.send('bulk/a', large))
  expect(error).toMatchObject({ code: 'too-large', detail: { limit: 'turnBytesMax' } })
  expect(await send(h, 'bulk/a', 'NOTE', { text: 'x'.repeat(100 * KB) })).toMatchObject({
    handled: true,
  })
  await start(h, 'bulk/b')
  expect(await send(h, 'bulk/b', 'NOTE', { text: large.text })).toMatchObject({ handled: true })
})

it('what was kept waits while its actor has grown too large for it', async () => {
  const h = open([bulk], { shardCount: 1 })
  await start(h, 'bulk/a')
  await h.run(h.client.pause('bulk/a'))
  await send(h, 'bulk/a', 'GROW', { by: 500 * KB })
  await send(h, 'bulk/a', 'NOTE', { text: 'x'.repeat(300 * KB) })
  await h.run(h.client.resume('bulk/a'))
  await h.advance(100)
  const stopped = await get(h, 'bulk/a')
  expect(stopped).toMatchObject({ kept: 1, context: { n: 0 } })
  expect(stopped.parked?.error.message).toContain('turnBytesMax')
  await h.run(h.client.patch('bulk/a', { blob: null }))
  await h.run(h.client.resume('bulk/a'))
  await h.advance(100)
  expect(await get(h, 'bulk/a')).toMatchObject({ kept: 0, context: { n: 1 } })
})

it('a family that is too large for a batch is paused, resumed and cancelled from its children up', async () => {
  const h = open([bulk], { shardCount: 1 })
  await start(h, 'bulk/a')
  await send(h, 'bulk/a', 'KIDS', { by: 40 * KB, count: 20 })
  const seen = watch(h)
  const refused = { code: 'too-large', detail: { limit: 'turnBytesMax' } }
  expect(await failure(h, h.client.pause('bulk/a'))).toMatchObject(refused)
  const { children } = await get(h, 'bulk/a')
  expect(children).toHaveLength(21)
  for (const child of children) await h.run(h.client.pause(child))
  await h.run(h.client.pause('bulk/a'))
  expect(await get(h, 'bulk/a')).toHaveProperty('paused')
  expect(await failure(h, h.client.resume('bulk/a'))).toMatchObject(refused)
  for (const child of children) await h.run(h.client.resume(child))
  expect(await h.run(h.client.resume('bulk/a'))).toMatchObject({ paused: false })
  expect(seen.largest).toBeLessThan(h.limits.batchBytesMax)
})

it('a retry of a family fits a batch as a whole', async () => {
  const h = open([bulk], { shardCount: 1 })
  await start(h, 'bulk/a')
  await send(h, 'bulk/a', 'KIDS', { by: 40 * KB, count: 6 })
  const { children } = await get(h, 'bulk/a')
  for (const child of children) await h.run(h.client.pause(child))
  await send(h, 'bulk/a', 'GROW', { by: 480 * KB })
  await h.run(h.client.pause('bulk/a'))
  const before = await get(h, 'bulk/a')
  const error = await failure(h, h.client.resume('bulk/a', { retry: true }))
  expect(error).toMatchObject({ code: 'too-large', detail: { limit: 'turnBytesMax' } })
  expect(await get(h, 'bulk/a')).toEqual(before)
  for (const child of children) await h.run(h.client.resume(child))
  expect(await h.run(h.client.resume('bulk/a', { retry: true }))).toMatchObject({ paused: false })
})

it('an actor with too much below it is taken away from its children up', async () => {
  const h = open([bulk], { shardCount: 1, limits: SMALL['KIDS']! })
  await start(h, 'bulk/a')
  for (let n = 0; n < 6; n++) {
    await send(h, 'bulk/a', 'KIDS', { by: 10, count: 30 })
    await send(h, 'bulk/a', 'NOTE')
  }
  const before = rows(h).filter(({ key }) => key[2] === 0x10)
  const refused = { code: 'too-large', detail: { limit: 'turnBytesMax' } }
  expect(await failure(h, h.client.cancel('bulk/a'))).toMatchObject(refused)
  expect(await failure(h, h.client.delete('bulk/a'))).toMatchObject(refused)
  expect(rows(h).filter(({ key }) => key[2] === 0x10)).toEqual(before)
  const { children } = await get(h, 'bulk/a')
  for (const child of children.slice(0, 150)) await h.run(h.client.cancel(child))
  await h.run(h.client.delete('bulk/a'))
  expect(countOf(h, 0x10)).toBe(0)
})

it('what was kept goes on with the next batch when one is full', async () => {
  const h = open([bulk], { shardCount: 2 })
  const [from, to] = await apart(h)
  await h.run(h.client.pause(from))
  for (let n = 0; n < 6; n++) await send(h, from, 'TELL', { to, by: 400 * KB, count: 1 })
  const seen = watch(h)
  await h.run(h.client.resume(from))
  await h.advance(100)
  expect(await get(h, to)).toMatchObject({ context: { n: 6 } })
  expect(seen.largest).toBeLessThan(h.limits.batchBytesMax)
})

it('a patch stands in the audit trail: both have to fit', async () => {
  const h = open([bulk], { shardCount: 1 })
  await start(h, 'bulk/a')
  const error = await failure(h, h.client.patch('bulk/a', { blob: 'x'.repeat(400 * KB) }))
  expect(error).toMatchObject({ code: 'too-large', detail: { limit: 'turnBytesMax' } })
  await h.run(h.client.patch('bulk/a', { blob: 'x'.repeat(200 * KB) }))
})

it('messages of another shard that find no room are not acknowledged, and taken the next time', async () => {
  const h = open([bulk], { shardCount: 1 })
  const messages = ['a', 'b', 'c', 'd'].map((id) => ({
    from: 'bulk/x',
    to: `bulk/${id}`,
    event: { type: 'GROW', by: 400 * KB },
  }))
  for (const { to } of messages) await start(h, to)
  const seen = watch(h)
  const answers: unknown[] = []
  for (let first = 1; first <= 4; ) {
    const rest = { from: 1, generation: 1, oldest: 1, first, messages: messages.slice(first - 1) }
    h.engines[0]!.relay(rest, 100, (answer) => answers.push(answer))
    await h.advance(0)
    first = (answers.at(-1) as { acked: number }).acked + 1
  }
  expect(answers).toEqual([{ acked: 1 }, { acked: 2 }, { acked: 3 }, { acked: 4 }])
  expect(seen.largest).toBeLessThan(h.limits.batchBytesMax)
  for (const { to } of messages) expect((await get(h, to)).turn).toBeGreaterThan(1)
})

it('command ids that are forgotten take the room that a batch has left, and all go in the end', async () => {
  const limits = { ...SMALL['KIDS'], batchBytesMax: 200 * KB, dedupeWindowMs: 120_000 }
  const h = open([bulk], { shardCount: 1, limits })
  const address = `bulk/${'é'.repeat(120)}`
  await start(h, address)
  const note = () => h.client.send(address, { type: 'NOTE', text: '' })
  const notes = () => h.run(Promise.all(Array.from({ length: 500 }, note)))
  for (let n = 0; n < 4; n++) await notes()
  const stale = countOf(h, 0x20)
  expect(stale).toBeGreaterThan(2_000)
  await h.advance(h.limits.dedupeWindowMs - 1_000)
  while (countOf(h, 0x20) === stale) await h.advance(100)
  const seen = watch(h)
  // Each of these batches remembers many, and so may forget more than it has room for.
  await notes()
  expect(seen.largest).toBeGreaterThan(0.9 * h.limits.batchBytesMax)
  expect(seen.largest).toBeLessThan(h.limits.batchBytesMax)
  await h.advance(400_000)
  expect(countOf(h, 0x20)).toBe(0)
})

it('the start of a task is answered again with its input, which is stored once', async () => {
  let h = open([bulk], { shardCount: 1 })
  await start(h, 'bulk/a')
  const input = 'x'.repeat(400 * KB)
  await send(h, 'bulk/a', 'TASKS', { by: input.length, count: 1 })
  const { taskId } = await theTask(h, 'bulk/a')
  const seen = watch(h)
  const command = { op: 'task.start', taskId, worker: 'w', address: 'bulk/a', id: commandId(h) }
  // Read back: to compare arrays of so many bytes takes seconds.
  const ask = async (): Promise<object> => {
    const outcomes: Outcome[] = []
    h.engines[0]!.submit({ ...command } as never, 100, (outcome) => outcomes.push(outcome))
    await h.advance(0)
    const { ok, ...refused } = outcomes[0] as { ok?: { input: Uint8Array } }
    return ok ? { ok: { ...ok, input: unpack(ok.input) } } : refused
  }
  const first = await ask()
  expect(first).toMatchObject({ ok: { input, attempt: 1 } })
  expect(seen.largest).toBeLessThan(1.5 * input.length)
  h = restart(h, [bulk])
  expect(await ask()).toEqual(first)
  await h.run(h.client.delete('bulk/a'))
  expect(await ask()).toMatchObject({ error: { code: 'task-gone' } })
})

it('an actor is indexed by a few fields with short names', async () => {
  const fields = (count: number, name: string) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`${name}${n}`, n]))
  const wide = host(
    'wide',
    { on: { GO: { actions: 'go' } } },
    { actions: { go: change(({ event }) => ({ count: event.by, name: event.text })) } },
    {
      index: (context: unknown) => {
        const { count = 1, name = 'f' } = context as { count?: number; name?: string }
        return fields(count, name)
      },
    } as never,
  )
  const h = open([wide])
  await start(h, 'wide/a')
  await send(h, 'wide/a', 'GO', { by: 32, text: 'f' })
  expect(
    (await failure(h, h.client.send('wide/a', { type: 'GO', by: 33, text: 'f' }))).message,
  ).toContain('at most 32')
  const long = { type: 'GO', by: 1, text: 'f'.repeat(200) }
  expect((await failure(h, h.client.send('wide/a', long))).message).toContain('128 bytes')
})

const deep = host(
  'deep',
  { on: { NEST: { actions: 'nest' } } },
  {
    actions: {
      nest: change(({ event }) => {
        let nested: unknown = 'x'.repeat(1_000)
        for (let level = 0; level < event.by; level++) nested = { nested }
        return { nested }
      }),
    },
  },
)

it('a context that nobody could be shown is not stored', async () => {
  const h = open([deep])
  await start(h, 'deep/a')
  await send(h, 'deep/a', 'NEST', { by: 250 })
  const before = await get(h, 'deep/a')
  const error = await failure(h, h.client.send('deep/a', { type: 'NEST', by: 1_000 }))
  expect(error).toMatchObject({ code: 'too-large', detail: { limit: 'nestingMax' } })
  expect(await get(h, 'deep/a')).toEqual(before)
})

const twice = host(
  'twice',
  { on: { PING: { actions: 'ping' } } },
  {
    actions: {
      ping: tell((({ event }: Args) =>
        [1, 2].map(() => ({
          to: event.to,
          event: { type: 'PING', to: event.text, text: event.to },
        }))) as never),
    },
  },
)

const PING = { type: 'PING' }
const both = (action: object) => ({ on: { PING: { actions: [action, action] } } })
const pair = host(
  'pair',
  { invoke: { src: 'kid', id: 'kid' }, ...both(sendTo('kid', PING)) },
  { actors: { kid: chart('kid', both(sendParent(PING))) } },
)

it.each([
  ['tells', 'twice/a', 'twice/b'],
  ['sends to a child', 'pair/a', 'pair/a/kid'],
])('two that send more than they get stop by themselves: %s', async (_, first, second) => {
  const limits = { stepsPerBatchMax: 64, outboxCountMax: 200 }
  const h = open([twice, pair], { shardCount: 1, limits })
  await start(h, first)
  if (!second.startsWith(first)) await start(h, second)
  const outbox: number[] = []
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) => {
    write(transaction)
    outbox.push(countOf(h, 0x50))
    // Not for ever, where nothing stops them.
    if (outbox.length > 500) h.engines[0]!.stop()
  }
  await send(h, first, 'PING', { to: second, text: first })
  await h.advance(1_000)
  const parked = [await get(h, first), await get(h, second)].map(({ parked: why }) => why)
  expect(parked.some((why) => why?.error.message.includes('outboxCountMax'))).toBe(true)
  expect(Math.max(...outbox)).toBeGreaterThan(100)
  expect(Math.max(...outbox)).toBeLessThanOrEqual(limits.outboxCountMax + 64)
  expect(countOf(h, 0x50)).toBe(0)
  await h.run(h.client.delete(first))
})

it('a turn that sends to a shard that takes nothing is refused, until that takes what waits', async () => {
  let h = open([bulk], { shardCount: 2, limits: { outboxCountMax: 5 } })
  const [from, to] = await apart(h)
  h.engines[1]!.stop()
  const sendOne = () => h.client.send(from, { type: 'TELL', to, by: 1, count: 1 })
  for (let n = 0; n < 5; n++) await h.run(sendOne())
  const error = await failure(h, sendOne())
  expect(error).toMatchObject({ code: 'limit-exceeded', detail: { limit: 'outboxCountMax' } })
  await h.run(h.client.pause(from))
  await h.run(h.client.resume(from))
  h = restart(h, [bulk])
  await h.advance(100)
  expect(await get(h, to)).toMatchObject({ context: { n: 5 } })
  await h.run(sendOne())
  expect(await code(h, h.client.get('bulk/nobody'))).toBe('unknown-actor')
})

it.each([
  [null],
  ['x'],
  [{}],
  [{ acked: 'all' }],
  [{ acked: 1.5 }],
  [{ acked: null }],
  [{ above: -1 }],
  [{ error: null }],
])('a channel asks again that is answered %j', async (answer) => {
  const clock = new VirtualClock()
  const store = new MemoryStore({ clock })
  const message = pack({ from: 'bulk/a', to: 'bulk/b', event: { type: 'NOTE' } })
  store.write({
    writes: [
      [outboxKey(0, 1, 1), message],
      [outboxEndKey(0, 1), pack([1, 2])],
    ],
    failed: () => {},
  })
  clock.advance(0)
  const requests: unknown[] = []
  const answers = [answer, { acked: 1 }]
  const request: Transport['request'] = ({ payload }, done) => {
    requests.push(unpack(payload))
    done({ kind: 'reply', payload: pack(answers.shift()) })
  }
  const transport = { request } as Transport
  const limits = resolveLimits()
  const subjects = subjectsOf('test')
  const acknowledged: true[] = []
  const channels = new Channels({
    ...{ shard: 0, store, transport, subjects, clock, log: silentLog, limits },
    random: new SeededRandom(1),
    changed: () => void acknowledged.push(true),
  })
  channels.load()
  channels.resume()
  expect([requests.length, acknowledged.length, channels.waitingFor(1)]).toEqual([1, 0, 1])
  await clock.settle(limits.channelResendMs)
  expect([requests.length, acknowledged.length, channels.waitingFor(1)]).toEqual([2, 1, 0])
  expect(requests[1]).toEqual(requests[0])
})
