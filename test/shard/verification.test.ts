/** A verification finds whatever does not agree, and nothing where all is well; a restored store begins anew. */
import { describe, expect, it } from 'vitest'
import { SeededRandom } from '../../src/adapters/memory/index.ts'
import type { Store } from '../../src/ports/index.ts'
import { pack, shardOf, unpack } from '../../src/protocol/index.ts'
import {
  newIncarnation,
  type Problem,
  type Repair,
  type ReportProblem,
  RowReader,
  reincarnated,
  ShardVerification,
  type VerifiedShard,
  verifyEnds,
} from '../../src/shard/index.ts'
import {
  actorKey,
  inboundKey,
  metaKey,
  outboxEndKey,
  outboxKey,
  TABLE,
} from '../../src/shard/keys.ts'
import { decodeActor } from '../../src/shard/records.ts'
import type { Harness } from './harness.ts'
import {
  type Args,
  code,
  get,
  host,
  job,
  open,
  restart,
  rows,
  see,
  send,
  start,
  theTask,
  worker,
} from './support.ts'

/** Timers, a task, an index, kept events, messages to others. */
const thing = host(
  'thing',
  {
    initial: 'idle',
    states: {
      idle: { on: { GO: 'busy', NOTE: { actions: 'note' } }, after: { 60000: 'busy' } },
      busy: { invoke: { src: 'work', onDone: 'idle' }, on: { BACK: 'idle' } },
    },
  },
  {
    actions: { note: see('note') },
    actors: { work: job('work', { onWorkerLost: 'wait', leaseMs: 30_000 }) },
  },
  { index: (context: unknown) => ({ n: (context as Args['context']).n }) } as never,
)

interface Verified {
  problems: Problem[]
  repairs: Repair[]
  actors: number
}

function verify(store: Store, shardCount: number): Verified {
  const problems: Problem[] = []
  const repairs: Repair[] = []
  const snapshot = store.snapshot()
  const reader = new RowReader(snapshot)
  const sides = new Map<number, VerifiedShard['channels']>()
  let actors = 0
  for (let shard = 0; shard < shardCount; shard++) {
    const report: ReportProblem = (one, repair) => {
      problems.push(one)
      if (repair) repairs.push(repair)
    }
    const steps = new ShardVerification(shard, shardCount, reader, report).run()
    let step = steps.next()
    while (!step.done) step = steps.next()
    actors += step.value.actors
    sides.set(shard, step.value.channels)
  }
  verifyEnds(sides, (subject, what) => problems.push({ kind: 'channel', shard: -1, subject, what }))
  snapshot.close()
  return { problems, repairs, actors }
}

/** Idle `thing/a` with a timer, `thing/b` that works, paused `thing/c` with two kept events. */
async function rich(): Promise<Harness> {
  const h = open([thing])
  for (const id of ['a', 'b', 'c']) await start(h, `thing/${id}`)
  await send(h, 'thing/b', 'GO')
  await h.run(h.client.pause('thing/c'))
  for (const _ of [1, 2]) await send(h, 'thing/c', 'NOTE')
  return h
}

async function put(h: Harness, key: Uint8Array, value: Uint8Array | null): Promise<void> {
  h.store.write({ writes: [[key, value]], failed: () => {} })
  await h.advance(0)
}

/** Damages a store whose rows were those, mends it, and finds the same rows byte by byte. */
async function mends(h: Harness, before: ReturnType<typeof rows>): Promise<void> {
  expect(rows(h)).not.toEqual(before)
  for (const [key, value] of verify(h.store, h.shardCount).repairs) await put(h, key, value)
  expect(rows(h)).toEqual(before)
}

function rowsOf(h: Harness, table: number, address: string) {
  const shard = shardOf(address, h.shardCount)
  return rows(h).filter(
    ({ key }) => key[1] === shard && key[2] === table && textOf(key).includes(address),
  )
}

const textOf = (key: Uint8Array) => Buffer.from(key).toString('latin1')

describe('a verification', () => {
  it('finds nothing where all is well', async () => {
    const h = await rich()
    expect(verify(h.store, h.shardCount)).toEqual({ problems: [], repairs: [], actors: 3 })
  })

  it.each([
    ['stateIndex', 'thing/a', 'unlisted', 'its row for lists by state is missing'],
    ['fieldIndex', 'thing/a', 'unlisted', 'its row for lists by the field "n" is missing'],
    [
      'timer',
      'thing/a',
      'unarmed',
      'its row for the timer xstate.after.60000.thing.idle is missing',
    ],
    ['task', 'thing/b', 'unarmed', 'its row for the task work is missing'],
    ['kept', 'thing/c', 'kept', '2 events are kept for it, 1 of them are there'],
  ] as const)('finds that a row of the table %s is missing', async (table, address, kind, what) => {
    const h = await rich()
    const before = rows(h)
    const [row] = rowsOf(h, TABLE[table], address)
    await put(h, row!.key, null)
    const shard = shardOf(address, h.shardCount)
    expect(verify(h.store, h.shardCount).problems).toEqual([
      { kind, shard, subject: address, what },
    ])
    // What was kept is nowhere else.
    if (table === 'kept') expect(verify(h.store, h.shardCount).repairs).toEqual([])
    else await mends(h, before)
  })

  it.each(['stateIndex', 'fieldIndex', 'timer', 'task'] as const)(
    'finds a row of the table %s that no actor asks for',
    async (table) => {
      const h = await rich()
      const before = rows(h)
      const address = table === 'task' ? 'thing/b' : 'thing/a'
      const [row] = rowsOf(h, TABLE[table], address)
      // Of a neighbour that there is not, and of the same one with more behind.
      const end = Buffer.from(`${textOf(row!.key)}z`, 'latin1')
      await put(h, end, row!.value)
      const { problems } = verify(h.store, h.shardCount)
      expect(problems).toMatchObject([
        { kind: 'stray', what: expect.stringContaining(`"${table}"`) },
      ])
      await mends(h, before)
    },
  )

  it('finds counts that are wrong, missing or of nobody', async () => {
    const h = await rich()
    const before = rows(h)
    const shard = shardOf('thing/b', h.shardCount)
    const counts = rows(h).filter(({ key }) => key[1] === shard && key[2] === TABLE.counter)
    const busy = counts.find(({ key }) => textOf(key).endsWith('busy'))!
    await put(h, busy.key, pack(7))
    expect(verify(h.store, h.shardCount).problems).toEqual([
      {
        kind: 'count',
        shard,
        subject: 'thing busy (active)',
        what: 'is counted as 7; there are 1',
      },
    ])
    await mends(h, before)
    await put(h, busy.key, null)
    expect(verify(h.store, h.shardCount).problems).toMatchObject([
      { kind: 'count', what: 'is counted as 0; there are 1' },
    ])
    await mends(h, before)
    await put(h, Buffer.from(`${textOf(busy.key)}er`, 'latin1'), pack(1))
    expect(verify(h.store, h.shardCount).problems).toMatchObject([
      { subject: 'thing busyer (active)', what: 'is counted as 1; there are 0' },
    ])
    await mends(h, before)
  })

  it('finds records and rows that cannot be read, and actors in a wrong shard', async () => {
    const h = await rich()
    const shard = shardOf('thing/a', h.shardCount)
    const key = actorKey(shard, 'thing/a')
    const bytes = h.store.get(key)!
    await put(h, key, bytes.subarray(0, 20))
    expect(verify(h.store, h.shardCount).problems).toMatchObject([
      { kind: 'unreadable', subject: 'thing/a' },
    ])
    expect(verify(h.store, h.shardCount).repairs).toEqual([])
    const newer = unpack(bytes) as unknown[]
    await put(h, key, pack([99, ...newer.slice(1)]))
    expect(verify(h.store, h.shardCount).problems[0]?.what).toMatch(
      /^was written by a newer program/,
    )
    await put(h, key, bytes)
    const elsewhere = (shard + 1) % h.shardCount
    await put(h, actorKey(elsewhere, 'thing/a'), bytes)
    expect(verify(h.store, h.shardCount).problems).toContainEqual({
      ...{ kind: 'misplaced', shard: elsewhere, subject: 'thing/a' },
      what: `stands in shard ${elsewhere}, not in ${shard}`,
    })
    // Where an actor is twice, or cannot be read, nothing around it is certain.
    expect(verify(h.store, h.shardCount).repairs).toEqual([])
    await put(h, actorKey(elsewhere, 'thing/a'), null)
    await put(h, Buffer.from([0, shard, 0x7f, 1]), pack(1))
    expect(verify(h.store, h.shardCount).repairs).toEqual([])
    expect(verify(h.store, h.shardCount).problems).toMatchObject([
      { kind: 'stray', what: 'stands in a table (127) that is unknown' },
    ])
    await put(h, Buffer.from([0, shard, 0x7f, 1]), null)
    await put(h, metaKey(shard), Buffer.of(0xc1))
    expect(verify(h.store, h.shardCount).problems).toMatchObject([
      { kind: 'unreadable', what: expect.stringContaining('"meta"') },
    ])
  })

  it('finds gaps in channels, on either side', async () => {
    const h = await rich()
    const channel = async (generation: number, next: number, waiting: number[], had: number) => {
      for (const number of [1, 2, 3, 4, 5])
        await put(h, outboxKey(0, 1, number), waiting.includes(number) ? pack({}) : null)
      await put(h, outboxEndKey(0, 1), pack([generation, next]))
      await put(h, inboundKey(1, 0), pack([1, had]))
      return verify(h.store, h.shardCount).problems.map(({ what }) => what)
    }
    expect(await channel(1, 5, [], 4)).toEqual([])
    expect(await channel(1, 5, [3, 4], 2)).toEqual([])
    // Had, and not acknowledged yet.
    expect(await channel(1, 5, [3, 4], 4)).toEqual([])
    expect(await channel(1, 5, [2, 4], 1)).toEqual([
      'the messages that wait have 1 gaps in their numbers',
    ])
    expect(await channel(1, 6, [3, 4], 2)).toEqual([
      'its last message has the number 4, the next one is to get 6',
    ])
    expect(await channel(1, 5, [4], 2)).toEqual([
      'messages 3 to 3 are lost: neither had nor waiting',
    ])
    expect(await channel(1, 5, [], 2)).toEqual([
      'messages 3 to 4 are lost: neither had nor waiting',
    ])
    expect(await channel(1, 3, [], 4)).toEqual([
      'shard 1 has had message 4; the next one is to get 3',
    ])
    // After a loss numbers begin anew, and the receiver learns of it with the next message.
    expect(await channel(2, 3, [], 4)).toEqual([])
    await put(h, outboxEndKey(0, 1), null)
    expect(verify(h.store, h.shardCount).problems).toMatchObject([
      { what: 'shard 1 has had 4 messages; none were sent' },
    ])
  })

  it('ends with an error when the snapshot was given up', async () => {
    const h = await rich()
    const snapshot = h.store.snapshot()
    const steps = new ShardVerification(0, h.shardCount, new RowReader(snapshot), () => {}).run()
    snapshot.close()
    expect(() => steps.next()).toThrow(/was given up/)
  })
})

describe('a new incarnation', () => {
  /** As a restore does, in place. */
  async function renewed(h: Harness): Promise<Harness> {
    const incarnation = newIncarnation(new SeededRandom(7))
    for (const row of rows(h)) {
      const value = reincarnated(row, incarnation)
      if (value) await put(h, row.key, value)
    }
    return restart(h, [thing])
  }

  it('refuses results of attempts that were begun before, and is whole', async () => {
    const before = await rich()
    const { taskId } = await theTask(before, 'thing/b')
    const { token } = await before.run(worker(before).start(taskId))
    const h = await renewed(before)
    expect(verify(h.store, h.shardCount).problems).toEqual([])
    expect(await code(h, worker(h).done(taskId, token))).toBe('task-stale')
    expect((await get(h, 'thing/b')).value).toBe('busy')
    // Its worker is not waited for: it belongs to another time.
    await h.advance(40_000)
    expect((await get(h, 'thing/b')).parked?.error.message).toMatch(/was silent/)
    await h.run(h.client.resume('thing/b', { retry: true }))
    expect((await theTask(h, 'thing/b')).state).toBe('queued')
  })

  it('gives no effect id a second time, to actors that were there and to new ones', async () => {
    const before = await rich()
    const old = (await theTask(before, 'thing/b')).taskId
    await send(before, 'thing/a', 'GO')
    await start(before, 'thing/d')
    await send(before, 'thing/d', 'GO')
    const given = ['thing/a', 'thing/d'].map(async (at) => (await theTask(before, at)).taskId)
    const lost = await Promise.all(given)
    const again = await renewed(await rich())
    // What was there keeps its name.
    expect((await theTask(again, 'thing/b')).taskId).toBe(old)
    await send(again, 'thing/a', 'GO')
    await start(again, 'thing/d')
    await send(again, 'thing/d', 'GO')
    const now = [(await theTask(again, 'thing/a')).taskId, (await theTask(again, 'thing/d')).taskId]
    expect(now.filter((id) => lost.includes(id))).toEqual([])
  })

  it('keeps births short however often it comes', async () => {
    const h = await rich()
    const key = actorKey(shardOf('thing/a', h.shardCount), 'thing/a')
    const once = reincarnated(
      { key, value: h.store.get(key)! },
      newIncarnation(new SeededRandom(1)),
    )
    const twice = reincarnated({ key, value: once! }, newIncarnation(new SeededRandom(2)))
    const births = [once, twice].map((bytes) => decodeActor(bytes!).record.birth)
    expect(births[0]).not.toBe(births[1])
    expect(births[0]!.length).toBe(births[1]!.length)
  })
})
