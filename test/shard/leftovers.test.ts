/** Actors with more kept events and history than a batch can remove: gone at once, and wholly. */
import { beforeEach, describe, expect, it } from 'vitest'
import { pack } from '../../src/protocol/index.ts'
import { Batch, beginBytesMax, ROW_BYTES } from '../../src/shard/batch.ts'
import type { Heads } from '../../src/shard/heads.ts'
import { actorKey, historyKey, keptKey, leftoverKey, TABLE } from '../../src/shard/keys.ts'
import { Leftovers } from '../../src/shard/leftovers.ts'
import {
  change,
  code,
  get,
  history,
  host,
  open,
  restart,
  rows,
  see,
  seen,
  start,
} from './support.ts'

const BATCH_MAX = 12_000
const limits = {
  payloadBytesMax: 2_000,
  actorBytesMax: 4_000,
  turnBytesMax: 6_500,
  batchBytesMax: BATCH_MAX,
}
const KEPT = 1_200
const TURNS = 400

const busy = host(
  'busy',
  { on: { NOTE: { actions: 'note' }, TICK: { actions: 'tick' } } },
  { actions: { note: see(({ event }) => event.text), tick: change(() => ({})) } },
  { retention: { historyCount: 1_000 } } as never,
)

type H = ReturnType<typeof open>

const ADDRESS = 'busy/a'
const numbers = (count: number) => Array.from({ length: count }, (_, n) => String(n))
const countOf = (h: H, table: number) => rows(h).filter(({ key }) => key[2] === table).length
const left = (h: H) =>
  [TABLE.kept, TABLE.history, TABLE.leftover, TABLE.actor].map((table) => countOf(h, table))

async function full(address = ADDRESS): Promise<H> {
  const h = open([busy], { shardCount: 1, limits })
  await start(h, address)
  const all = (count: number) =>
    h.run(Promise.all(numbers(count).map((text) => h.client.send(address, { type: 'NOTE', text }))))
  for (let n = 0; n < TURNS; n += 100)
    await h.run(Promise.all(numbers(100).map(() => h.client.send(address, { type: 'TICK' }))))
  await h.run(h.client.pause(address))
  await all(KEPT)
  return h
}

/** Bytes of each transaction of the store from now on. */
function watch(h: H, seenBytes: (bytes: number) => void): void {
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) => {
    const bytes = transaction.writes.map(([key, value]) => key.length + (value?.length ?? 0))
    write(transaction)
    seenBytes(bytes.reduce((sum, one) => sum + one, 0))
  }
}

/** Stops the engine behind so many transactions: what follows them never happens. */
function stopAfter(h: H, transactions: number): void {
  let count = 0
  watch(h, () => {
    count += 1
    if (count === transactions) h.engines[0]?.stop()
  })
}

let h: H
beforeEach(async () => {
  h = await full()
})

it('no batch is larger for it, and nothing is left', async () => {
  expect(left(h)[0]).toBe(KEPT)
  expect(left(h)[1]).toBeGreaterThan(40)
  let largest = 0
  let batches = 0
  watch(h, (bytes) => {
    largest = Math.max(largest, bytes)
    batches += 1
  })
  await h.run(h.client.delete(ADDRESS))
  expect(await code(h, h.client.get(ADDRESS))).toBe('unknown-actor')
  await h.advance(100)
  expect(left(h)).toEqual([0, 0, 0, 0])
  expect(largest).toBeLessThanOrEqual(BATCH_MAX)
  expect(batches).toBeGreaterThan(3)
  expect(h.stops).toEqual([])
})

it('goes on after a crash in the middle, wherever that is', async () => {
  for (const transactions of [1, 2, 3]) {
    h = await full()
    stopAfter(h, transactions)
    h.run(h.client.delete(ADDRESS)).catch(() => {})
    await h.advance(100)
    expect(left(h)[0]).toBeGreaterThan(0)
    h = restart(h, [busy])
    await h.advance(100)
    expect(left(h)).toEqual([0, 0, 0, 0])
    expect(await code(h, h.client.get(ADDRESS))).toBe('unknown-actor')
  }
})

it('goes on beside batches that are full already', async () => {
  stopAfter(h, 1)
  h.run(h.client.delete(ADDRESS)).catch(() => {})
  await h.advance(100)
  const heads = { has: () => false, get: () => undefined } as unknown as Heads
  const leftovers = new Leftovers({ shard: 0, store: h.store, limits: h.limits, heads })
  const batch = new Batch(1_000, h.clock.now())
  batch.write(new Uint8Array(beginBytesMax(h.limits) + h.limits.turnBytesMax - ROW_BYTES), null)
  leftovers.step(batch)
  expect(batch.writes.length).toBeGreaterThan(1)
  expect(batch.bytes).toBeLessThanOrEqual(BATCH_MAX)
})

describe('an actor that is started at the address meanwhile', () => {
  /** In one batch with the end of the other: it lives all through the removal. */
  async function another(): Promise<void> {
    const { client } = h
    const note = (text: string) => client.send(ADDRESS, { type: 'NOTE', text })
    await h.run(
      Promise.all([
        client.delete(ADDRESS),
        client.start(ADDRESS),
        ...numbers(12).map((n) => note(`before ${n}`)),
        client.pause(ADDRESS),
        ...numbers(20).map((n) => note(`kept ${n}`)),
      ]),
    )
  }
  const texts = [...numbers(12).map((n) => `before ${n}`), ...numbers(20).map((n) => `kept ${n}`)]

  async function isWhole(): Promise<void> {
    expect(await get(h, ADDRESS)).toMatchObject({ kept: 20 })
    await h.run(h.client.resume(ADDRESS))
    expect(await seen(h, ADDRESS)).toEqual(texts)
    const turns = (await history(h, ADDRESS)).map(({ turn }) => turn)
    expect(turns).toEqual(Array.from({ length: turns.length }, (_, n) => n + 1))
    expect(turns.length).toBeGreaterThanOrEqual(1 + 12 + 1 + 1 + 20)
  }

  it('sees nothing of the other and loses nothing of its own', async () => {
    let batches = 0
    watch(h, () => {
      h.clock.defer(() => {
        batches += countOf(h, TABLE.leftover)
      })
    })
    await another()
    await h.advance(100)
    expect(batches).toBeGreaterThan(2)
    expect(countOf(h, TABLE.leftover)).toBe(0)
    expect(countOf(h, TABLE.kept)).toBe(20)
    await isWhole()
    await h.run(h.client.delete(ADDRESS))
    await h.advance(100)
    expect(left(h)).toEqual([0, 0, 0, 0])
  })

  it('nor after a crash in the middle', async () => {
    stopAfter(h, 2)
    another().catch(() => {})
    await h.advance(100)
    expect(countOf(h, TABLE.leftover)).toBe(1)
    h = restart(h, [busy])
    await h.advance(100)
    expect(countOf(h, TABLE.leftover)).toBe(0)
    await isWhole()
  })

  it('and empties its queue and fills it again', async () => {
    const { client } = h
    const note = (text: string) => client.send(ADDRESS, { type: 'NOTE', text })
    await h.run(
      Promise.all([
        client.delete(ADDRESS),
        client.start(ADDRESS),
        client.pause(ADDRESS),
        note('one'),
        client.resume(ADDRESS),
        client.pause(ADDRESS),
        note('two'),
      ]),
    )
    await h.advance(100)
    await h.run(client.resume(ADDRESS))
    expect(await seen(h, ADDRESS)).toEqual(['one', 'two'])
  })

  it.each([
    ['little', 5],
    ['much', 300],
  ])('and is deleted itself, with %s of its own: what both left goes', async (_name, count) => {
    const { client } = h
    await h.run(
      Promise.all([
        client.delete(ADDRESS),
        client.start(ADDRESS),
        client.pause(ADDRESS),
        ...numbers(count).map((text) => client.send(ADDRESS, { type: 'NOTE', text })),
        client.delete(ADDRESS),
      ]),
    )
    await h.advance(100)
    expect(left(h)).toEqual([0, 0, 0, 0])
    expect(h.stops).toEqual([])
  })

  it('and is of a form that is not read here: its history is left alone', async () => {
    stopAfter(h, 2)
    another().catch(() => {})
    await h.advance(100)
    const own = h.store.get(historyKey(0, ADDRESS, 1))
    h.store.write({ writes: [[actorKey(0, ADDRESS), pack([99])]], failed: () => {} })
    await h.advance(0)
    h = restart(h, [busy])
    await h.advance(100)
    expect(h.store.get(leftoverKey(0, ADDRESS))).toBeUndefined()
    expect(h.store.get(keptKey(0, ADDRESS, 0))).toBeUndefined()
    expect(own).toBeDefined()
    expect(h.store.get(historyKey(0, ADDRESS, 1))).toEqual(own)
  })
})
