/** Actors that keep a shard busy by themselves: others are reached all the same, nothing is lost. */
import { expect, it } from 'vitest'
import { enqueueActions } from 'xstate'
import { tell } from '../../src/machine/index.ts'
import {
  type Args,
  change,
  chart,
  commandId,
  get,
  host,
  open,
  restart,
  send,
  start,
} from './support.ts'

const LIMITS = { stepsPerBatchMax: 64 }

const echo = host(
  'echo',
  { on: { PING: { actions: ['count', 'ping'] } } },
  {
    actions: {
      count: change(({ context }) => ({ n: context.n + 1 })),
      ping: tell((({ event }: Args) => ({
        to: event.to,
        event: { type: 'PING', to: event.to },
      })) as never),
    },
  },
)

const crowd = host(
  'crowd',
  { on: { SPREAD: { actions: 'spread' }, SEE: { actions: 'seen' } } },
  {
    actions: {
      spread: enqueueActions(({ enqueue }) => {
        for (let n = 0; n < 500; n++)
          enqueue(tell({ to: 'crowd/b', event: { type: 'SEE', by: n } }) as never)
      }),
      seen: change(({ context, event }) => ({
        n: context.n + 1,
        seen: [...context.seen, event.by],
      })),
    },
  },
)

it('an actor that never stops telling itself can be paused, and others go on', async () => {
  let h = open([echo], { shardCount: 1, limits: LIMITS })
  await start(h, 'echo/a')
  await start(h, 'echo/b')
  h.client.send('echo/a', { type: 'PING', to: 'echo/a' }).catch(() => {})
  await h.run(h.client.pause('echo/a'))
  const { context } = await get(h, 'echo/a')
  h = restart(h, [echo])
  expect((await get(h, 'echo/a')).context).toEqual(context)
  await send(h, 'echo/b', 'PING', { to: 'echo/nobody' })
  expect((await get(h, 'echo/b')).context).toMatchObject({ n: 1 })
})

it('more messages than a batch has steps arrive once and in order, also after a crash', async () => {
  let h = open([crowd], { shardCount: 1, limits: LIMITS })
  await start(h, 'crowd/a')
  await start(h, 'crowd/b')
  await send(h, 'crowd/a', 'SPREAD')
  h = restart(h, [crowd])
  await h.advance(100)
  const { context } = await get(h, 'crowd/b')
  expect((context as { seen: number[] }).seen).toEqual(Array.from({ length: 500 }, (_, n) => n))
  const rows = h.store.count(Uint8Array.of(0, 0, 0x50), Uint8Array.of(0, 0, 0x51))
  expect(rows).toBe(0)
})

const forked = host(
  'forked',
  { on: { PING: { actions: ['count', 'ping'] } } },
  {
    actions: {
      count: change(({ context, event }) => ({ n: context.n + 1, blob: 'x'.repeat(event.by) })),
      ping: tell((({ event }: Args) => {
        const { to, by, text } = event
        return Array.from({ length: Number(text) }, () => ({
          to,
          event: { type: 'PING', to, by, text },
        }))
      }) as never),
    },
  },
)

it.each([
  ['tells itself twice each time', { text: '2', by: 0 }],
  ['is so large that it fills a batch', { text: '1', by: 500_000 }],
])('one that never stops, and %s, can be paused', async (_case, fields) => {
  const h = open([forked], { shardCount: 1, limits: LIMITS })
  await start(h, 'forked/a')
  const [engine] = h.engines
  const paused: unknown[] = []
  // By hand: time would never come to rest.
  const { deferred } = h.clock as unknown as { deferred: (() => void)[] }
  const calls = (count: number) => {
    for (let call = 0; call < count; call++) deferred.shift()?.()
  }
  const submit = (operation: object, done: (outcome: unknown) => void) =>
    engine!.submit({ ...operation, address: 'forked/a', id: commandId(h) } as never, 100, done)
  submit({ op: 'send', event: { type: 'PING', to: 'forked/a', ...fields } }, () => {})
  calls(40)
  const from = engine!.status().slot
  submit({ op: 'pause' }, (outcome) => paused.push(outcome))
  calls(40)
  expect(from).toBeGreaterThan(3)
  expect(paused).toMatchObject([{ ok: { paused: true } }])
})

const fan = host(
  'fan',
  { on: { SPREAD: { actions: ['count', 'spread'] } } },
  {
    actions: {
      count: change(({ context }) => ({ n: context.n + 1 })),
      spread: enqueueActions(({ event, enqueue }) => {
        const { by, text } = event as Args['event']
        for (let n = 0; by > 0 && n < 50; n++)
          enqueue(tell({ to: `fan/${n}`, event: { type: 'SPREAD', by: by - 1, text } }) as never)
      }),
    },
  },
)

/** Rows and bytes of the batches that are committed from now on. */
function batchesOf(h: ReturnType<typeof open>): { rows: number; bytes: number }[] {
  const batches: { rows: number; bytes: number }[] = []
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) => {
    const { writes } = transaction
    const bytes = writes.reduce((sum, [key, value]) => sum + key.length + (value?.length ?? 0), 0)
    batches.push({ rows: writes.length, bytes })
    write(transaction)
  }
  return batches
}

it('a fan-out of fan-outs of large messages is many batches that each fit a slot', async () => {
  const h = open([fan], { shardCount: 1 })
  for (let n = 0; n < 50; n++) await start(h, `fan/${n}`)
  const batches = batchesOf(h)
  await send(h, 'fan/0', 'SPREAD', { by: 2, text: 'x'.repeat(8_000) })
  await h.advance(100)
  for (let n = 1; n < 50; n++) expect((await get(h, `fan/${n}`)).context).toMatchObject({ n: 51 })
  expect(batches.length).toBeGreaterThan(20)
  expect(Math.max(...batches.map(({ bytes }) => bytes))).toBeLessThan(h.limits.batchBytesMax)
})

it('many actors that go on with what they kept share the steps of a batch', async () => {
  const h = open([fan], { shardCount: 1, limits: LIMITS })
  const addresses = Array.from({ length: 100 }, (_, n) => `fan/${n}`)
  for (const address of addresses) {
    await start(h, address)
    await h.run(h.client.pause(address))
  }
  const kept = { type: 'SPREAD', by: 0, text: '' }
  for (let n = 0; n < 20; n++)
    await h.run(Promise.all(addresses.map((address) => h.client.send(address, kept))))
  const batches = batchesOf(h)
  await h.run(Promise.all(addresses.map((address) => h.client.resume(address))))
  await h.advance(100)
  for (const address of addresses) expect((await get(h, address)).context).toMatchObject({ n: 20 })
  // Of a step: its row of the queue, its actor, and a chunk of the history now and then.
  expect(Math.max(...batches.map(({ rows }) => rows))).toBeLessThan(LIMITS.stepsPerBatchMax * 4)
})

it.each(['run', 'freeze'] as const)(
  'a child that found no room before the pause of its parent is part of it: timers %s',
  async (timers) => {
    const kid = chart('kid', {
      initial: 'a',
      states: { a: { after: { 10: 'b' } }, b: {} },
    })
    const states = { a: { on: { GO: 'b' } }, b: { invoke: { src: 'kid', id: 'kid' } } }
    const m = host('m', { initial: 'a', states }, { actors: { kid } })
    const h = open([m, crowd], { shardCount: 1, limits: { stepsPerBatchMax: 16 } })
    for (const address of ['m/1', 'crowd/a', 'crowd/b']) await start(h, address)
    const together = [
      h.client.send('crowd/a', { type: 'SPREAD' }),
      h.client.send('m/1', { type: 'GO' }),
      h.client.pause('m/1', { timers }),
    ]
    await h.run(Promise.all(together))
    await h.advance(100)
    const kept = timers === 'run' ? 1 : 0
    expect(await get(h, 'm/1/kid')).toMatchObject({ value: 'a', paused: { timers }, kept })
    await h.run(h.client.resume('m/1'))
    await h.advance(20)
    expect((await get(h, 'm/1/kid')).value).toBe('b')
  },
)
