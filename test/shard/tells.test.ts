/** P4: messages between actors arrive once, in order; what is refused is a dead letter. */
import { describe, expect, it } from 'vitest'
import { sendParent } from 'xstate'
import { z } from 'zod'
import { tell } from '../../src/machine/index.ts'
import { shardOf, subjectsOf, unpack } from '../../src/protocol/index.ts'
import {
  type Args,
  change,
  chart,
  counter,
  get,
  host,
  open,
  restart,
  see,
  seen,
  send,
  start,
} from './support.ts'

const teller = host(
  'teller',
  {
    on: {
      TELL: { actions: 'tell' },
      MANY: { actions: 'many' },
      'troupe.deadLetter': { actions: 'dead' },
    },
  },
  {
    actions: {
      tell: tell((({ event }: Args) => ({
        to: event.to,
        event: { type: 'NOTE', text: event.text },
      })) as never),
      many: tell((({ event }: Args) =>
        Array.from({ length: event.by }, (_, n) => ({
          to: event.to,
          event: { type: 'NOTE', text: `${event.text}${n}` },
        }))) as never),
      dead: see(({ event }) => `${event.to}: ${(event.error as { code: string }).code}`),
    },
  },
)

/** An id whose actor lives on the wanted shard. */
function idOn(machine: string, shard: number, shardCount = 4): string {
  for (let n = 0; ; n++)
    if (shardOf(`${machine}/${n}`, shardCount) === shard) return `${machine}/${n}`
}

const from = idOn('teller', 0)

describe.each([
  ['on the same shard', idOn('counter', 0)],
  ['on another shard', idOn('counter', 1)],
])('to an actor %s', (_name, to) => {
  it('arrives', async () => {
    let h = open([teller, counter])
    await start(h, from)
    await start(h, to)
    await send(h, from, 'TELL', { to, text: 'hello' })
    h = restart(h, [teller, counter])
    await h.advance(10)
    expect(await seen(h, to)).toEqual(['hello'])
  })

  it('is kept while the target is paused', async () => {
    const h = open([teller, counter])
    await start(h, from)
    await start(h, to)
    await h.run(h.client.pause(to))
    await send(h, from, 'TELL', { to, text: 'hello' })
    await h.advance(10)
    expect((await get(h, to)).kept).toBe(1)
    await h.run(h.client.resume(to))
    expect(await seen(h, to)).toEqual(['hello'])
  })

  it.each([
    ['is not there', async () => {}, 'unknown-actor'],
    [
      'has finished',
      async (h: ReturnType<typeof open>) => {
        await start(h, to)
        await send(h, to, 'FINISH')
      },
      'finished',
    ],
  ])('that %s: a dead letter, told to the sender', async (_case, prepare, expected) => {
    let h = open([teller, counter])
    await start(h, from)
    await prepare(h)
    await send(h, from, 'TELL', { to, text: 'hello' })
    h = restart(h, [teller, counter])
    await h.advance(10)
    expect(await seen(h, from)).toEqual([`${to}: ${expected}`])
    const letters = await h.run(h.client.deadLetters())
    expect(letters).toMatchObject([
      { from, to, event: { type: 'NOTE', text: 'hello' }, error: { code: expected } },
    ])
    await h.advance(5_000)
    expect(await seen(h, from)).toHaveLength(1)
  })

  it('1,000 arrive once and in order, whatever is restarted meanwhile', async () => {
    const limits = { stepsPerBatchMax: 64, channelWindowMax: 16, historyCountMax: 1 }
    let h = open([teller, counter], { limits })
    await start(h, from)
    await start(h, to)
    const expected: string[] = []
    const id = (burst: number) => `${startedAt}-burst${burst}`
    const startedAt = h.clock.now()
    for (let burst = 0; burst < 20; burst++) {
      h.client
        .send(from, { type: 'MANY', to, text: `${burst}.`, by: 50 }, { id: id(burst) })
        .catch(() => {})
      for (let n = 0; n < 50; n++) expected.push(`${burst}.${n}`)
      // From one call to a few: the restart falls into different moments of the way.
      for (let calls = 0; calls < burst % 5; calls++) await h.advance(0)
      if (burst % 3 === 2) {
        const again = Array.from({ length: 3 }, (_, back) => burst - 2 + back)
        h = restart(h, [teller, counter], { limits })
        // What the crash swallowed is sent again with its id; the order of first arrival counts.
        for (const one of again)
          await h.run(
            h.client.send(from, { type: 'MANY', to, text: `${one}.`, by: 50 }, { id: id(one) }),
          )
      }
    }
    await h.advance(10_000)
    const found = await seen(h, to)
    expect(new Set(found).size).toBe(found.length)
    expect([...found].sort()).toEqual([...expected].sort())
    // Within a burst the order is that of the sender.
    for (let burst = 0; burst < 20; burst++) {
      const own = found.filter((text) => text.startsWith(`${burst}.`))
      expect(own).toEqual(Array.from({ length: 50 }, (_, n) => `${burst}.${n}`))
    }
  })
})

it('an event that does not match the schema of its target is a dead letter', async () => {
  const strict = host('strict', { on: { NOTE: { actions: [] } } }, {}, {
    events: { NOTE: z.object({ text: z.number() }) },
  } as never)
  const h = open([teller, strict])
  await start(h, from)
  for (const shard of [0, 2]) {
    const to = idOn('strict', shard)
    await start(h, to)
    await send(h, from, 'TELL', { to, text: 'no number' })
    await h.advance(10)
  }
  expect((await h.run(h.client.deadLetters())).map(({ error }) => error.code)).toEqual([
    'invalid-event',
    'invalid-event',
  ])
  expect(await seen(h, from)).toHaveLength(2)
})

it('a dead letter does not hold up what comes after it', async () => {
  const h = open([teller, counter])
  const to = idOn('counter', 1)
  await start(h, from)
  await h.run(
    Promise.all([
      h.client.send(from, { type: 'TELL', to, text: 'too early' }),
      h.client.send(from, { type: 'TELL', to: idOn('nobody', 1), text: 'nobody' }),
    ]),
  )
  await h.advance(10)
  await start(h, to)
  await send(h, from, 'TELL', { to, text: 'in time' })
  await h.advance(10)
  expect(await seen(h, to)).toEqual(['in time'])
})

it('what was kept for an actor that finishes before its turn comes is a dead letter', async () => {
  const h = open([teller, counter])
  const to = idOn('counter', 1)
  await start(h, from)
  await start(h, to)
  await h.run(h.client.pause(to))
  await send(h, to, 'FINISH')
  await send(h, from, 'TELL', { to, text: 'too late' })
  await h.advance(10)
  await h.run(h.client.resume(to))
  await h.advance(10)
  expect(await seen(h, from)).toEqual([`${to}: finished`])
  expect(await get(h, to)).toMatchObject({ status: 'done', kept: 0 })
})

it('a child can tell, and learns of a dead letter', async () => {
  const kid = chart(
    'kid',
    {
      entry: 'tell',
      on: { 'troupe.deadLetter': { actions: sendParent({ type: 'HEARD' }) } },
    },
    { actions: { tell: tell({ to: idOn('counter', 2), event: { type: 'NOTE', text: 'x' } }) } },
  )
  const parent = host(
    'parent',
    { invoke: { src: 'kid', id: 'k' }, on: { HEARD: { actions: see('heard') } } },
    { actors: { kid } },
    { internal: ['HEARD'] } as never,
  )
  const h = open([parent])
  await start(h, 'parent/x')
  await h.advance(10)
  expect(await seen(h, 'parent/x')).toEqual(['heard'])
})

it('actors that tell each other do not starve others, and end where they should', async () => {
  const pong = host(
    'pong',
    { on: { BALL: { guard: ({ context }: Args) => context.n < 200, actions: ['hit', 'back'] } } },
    {
      actions: {
        hit: change(({ context }) => ({ n: context.n + 1 })),
        back: tell((({ event }: Args) => ({
          to: event.to,
          event: { type: 'BALL', to: event.text, text: event.to },
        })) as never),
      },
    },
  )
  for (const other of [idOn('pong', 0), idOn('pong', 1)]) {
    let h = open([pong, counter], { limits: { stepsPerBatchMax: 10 } })
    const [a, b] = ['pong/x', other]
    await start(h, a)
    await start(h, b)
    await start(h, 'counter/a')
    await send(h, a, 'BALL', { to: b, text: a })
    await send(h, 'counter/a', 'ADD', { by: 1 })
    h = restart(h, [pong, counter], { limits: { stepsPerBatchMax: 10 } })
    await h.advance(30_000)
    expect([(await get(h, a)).context, (await get(h, b)).context]).toMatchObject([
      { n: 200 },
      { n: 200 },
    ])
  }
})

it('no message leaves before it is on disk, also when those before it are acknowledged first', async () => {
  const h = open([teller, counter], { flushDelayMs: 50, limits: { channelWindowMax: 2 } })
  const to = idOn('counter', 1)
  await start(h, from)
  await start(h, to)
  const relayed: { atMs: number; first: number; count: number }[] = []
  const began = h.clock.monotonic()
  h.transport.subscribe(subjectsOf('test').relay(1), {}, ({ payload }) => {
    const { first, messages } = unpack(payload) as { first: number; messages: unknown[] }
    relayed.push({ atMs: h.clock.monotonic() - began, first, count: messages.length })
  })
  const many = h.client.send(from, { type: 'MANY', to, text: 'm', by: 3 })
  await h.advance(60)
  // It waits for the disk when the target, at 100 ms, has the first two on disk and says so.
  const late = h.client.send(from, { type: 'TELL', to, text: 'late' })
  await h.advance(500)
  await Promise.all([many, late])
  expect(relayed).toEqual([
    { atMs: 50, first: 1, count: 2 },
    { atMs: 100, first: 3, count: 1 },
    { atMs: 200, first: 4, count: 1 },
  ])
  expect(await seen(h, to)).toEqual(['m0', 'm1', 'm2', 'late'])
})
