/** After a roll-out the shards of a node walk by turns: a command waits for a few slices, not for all. */
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { fingerprintKey, TABLE } from '../../src/shard/keys.ts'
import { SLICE_COUNT_MAX } from '../../src/shard/reindex.ts'
import { WALK_TURN_MS, WALKS_AT_ONCE, WalkTurns } from '../../src/shard/walk-turns.ts'
import type { Harness } from './harness.ts'
import { change, host, open, restart, rows } from './support.ts'

const SHARDS = 4
const FLUSH_MS = 5
/** Two slices of a shard, and some. */
const COUNT = SHARDS * (2 * SLICE_COUNT_MAX + 50)

const adder = (index?: (context: { n: number }) => object) =>
  host('m', { on: { ADD: { actions: change(({ context }) => ({ n: context.n + 1 })) } } }, {}, {
    ...(index ? { index } : {}),
  } as never)

async function rolledOut(): Promise<Harness> {
  const h = open([adder()], { shardCount: SHARDS })
  await h.run(Promise.all(Array.from({ length: COUNT }, (_, n) => h.client.start(`m/${n}`))))
  return restart(h, [adder(({ n }) => ({ n }))], { flushDelayMs: FLUSH_MS })
}

/** Slices that were handed to the store and are not on its disk. */
function countSlices(
  h: Harness,
  found: (shard: number) => void = () => {},
): { now: number; most: number; shards: number[] } {
  const slices = { now: 0, most: 0, shards: [] as number[] }
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) => {
    const fields = transaction.writes.filter(([key]) => key[2] === TABLE.fieldIndex)
    // A command changes one actor.
    if (fields.length < 2) return write(transaction)
    const shard = fields[0]![0][1]!
    slices.shards.push(shard)
    found(shard)
    slices.now += 1
    slices.most = Math.max(slices.most, slices.now)
    const flushed = () => {
      slices.now -= 1
      transaction.flushed?.()
    }
    write({ ...transaction, flushed })
  }
  return slices
}

const ended = (h: Harness) =>
  h.engines
    .map(({ shard }) => shard)
    .filter((shard) => h.store.get(fingerprintKey(shard, 'm')) !== undefined)

const fieldRows = (h: Harness) => rows(h).filter(({ key }) => key[2] === TABLE.fieldIndex)

const listed = (h: Harness) => fieldRows(h).length

describe('shards that walk', () => {
  it('have few slices under way among all of them, in turns, and all come to their end', async () => {
    const h = await rolledOut()
    const slices = countSlices(h)
    await h.advance(1_000)
    expect(slices.most).toBe(WALKS_AT_ONCE)
    expect(slices.shards.slice(0, 2 * SHARDS)).toEqual([0, 1, 2, 3, 0, 1, 2, 3])
    expect(listed(h)).toBe(COUNT)
    expect(ended(h)).toEqual([0, 1, 2, 3])
  })

  it('do not wait for those that have stopped', async () => {
    const h = await rolledOut()
    const slices = countSlices(h, (shard) => {
      if (shard < WALKS_AT_ONCE) h.engines[shard]!.stop()
    })
    await h.advance(1_000)
    expect(slices.shards.slice(0, WALKS_AT_ONCE)).toEqual([0, 1])
    expect(ended(h)).toEqual([2, 3])
  })

  it('do not wait for those whose commits hang, which come again after that', async () => {
    const h = await rolledOut()
    const write = h.store.write.bind(h.store)
    const hung: Parameters<typeof write>[] = []
    h.store.write = (transaction) => {
      if (transaction.writes[0]![0][1]! < WALKS_AT_ONCE) hung.push([transaction])
      else write(transaction)
    }
    const walked = () => new Set(fieldRows(h).map(({ key }) => key[1]))
    await h.advance(WALK_TURN_MS - 1)
    expect(walked()).toEqual(new Set())
    await h.advance(1_000)
    expect(walked()).toEqual(new Set([2, 3]))
    h.store.write = write
    for (const held of hung) write(...held)
    await h.advance(1_000)
    expect(ended(h)).toEqual([0, 1, 2, 3])
    expect(listed(h)).toBe(COUNT)
  })
})

describe('turns', () => {
  it('go round, and from who leaves to the next', () => {
    const turns = new WalkTurns({ clock: new VirtualClock() })
    const began: string[] = []
    const walkers = ['a', 'b', 'c', 'd'].map((name) => () => void began.push(name))
    const [a, b, c, d] = walkers as [() => void, () => void, () => void, () => void]
    for (const walker of walkers) turns.enter(walker)
    expect(began).toEqual(['a', 'b'])
    turns.pass(a)
    // It is not its turn.
    turns.pass(a)
    expect(began).toEqual(['a', 'b', 'c'])
    turns.leave(d)
    turns.pass(b)
    turns.leave(c)
    turns.leave(c)
    expect(began).toEqual(['a', 'b', 'c', 'a', 'b'])
    expect([a, b, c, d].map((walker) => turns.isOf(walker))).toEqual([true, true, false, false])
    // Nobody waits for it.
    turns.pass(a)
    expect(began).toHaveLength(5)
  })

  it('are taken from who holds one for too long, but not from who has it again and again', async () => {
    const clock = new VirtualClock()
    const turns = new WalkTurns({ clock })
    const began: string[] = []
    const walkers = ['a', 'b', 'c', 'd'].map((name) => () => void began.push(name))
    const [a, b, c] = walkers as [() => void, () => void, () => void]
    for (const walker of [a, b]) turns.enter(walker)
    await clock.settle(WALK_TURN_MS - 1)
    turns.pass(a)
    turns.enter(c)
    await clock.settle(1)
    expect(began).toEqual(['a', 'b', 'c'])
    expect([a, b, c].map((walker) => turns.knows(walker))).toEqual([true, false, true])
    turns.enter(b)
    expect(turns.isOf(b)).toBe(false)
    turns.leave(c)
    expect(began).toEqual(['a', 'b', 'c', 'b'])
  })
})
