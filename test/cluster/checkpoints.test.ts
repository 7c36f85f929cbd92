/** When checkpoints are made, what is removed behind them, and that nobody misses it. */
import { describe, expect, it } from 'vitest'
import { MemoryCheckpoints, SeededRandom } from '../../src/adapters/memory/index.ts'
import { CheckpointKeeper, type Keeping } from '../../src/cluster/checkpoint-keeper.ts'
import {
  isDue,
  lowestNeeded,
  removableSlots,
  type SeenCheckpoint,
} from '../../src/cluster/checkpoints.ts'
import { resolveClusterLimits } from '../../src/cluster/limits.ts'
import type { Log } from '../../src/ports/index.ts'
import { EMPTY_DIGEST, encodeCheckpoint } from '../../src/shard/checkpoint-form.ts'
import { judgeJournal, tailOf } from '../shard/journaled-judge.ts'
import { REAL, SHARD } from '../shard/journaled-nodes.ts'
import { started } from '../shard/journaled-ownership.ts'
import { Cluster } from './nodes.ts'

const A = 'counter/a'
const limits = resolveClusterLimits({
  checkpointSlots: 10,
  checkpointLookMs: 200,
  checkpointChunkBytesMax: 500,
  journalRetentionMs: 5_000,
  journalSlotsMin: 4,
})
const OLD = limits.journalRetentionMs
const YOUNG = OLD - 1
const at = (...seen: [slot: number, ageMs: number][]): SeenCheckpoint[] =>
  seen.map(([slot, ageMs]) => ({ slot, ageMs }))

describe('a checkpoint is due', () => {
  const owner = (applied: number) => ({ applied, leavesItToStandby: false })

  it('so many slots behind the newest, and at once when there is none', () => {
    expect(isDue([], owner(9), limits)).toBe(false)
    expect(isDue([], owner(10), limits)).toBe(true)
    expect(isDue(at([30, YOUNG]), owner(39), limits)).toBe(false)
    expect(isDue(at([30, YOUNG]), owner(40), limits)).toBe(true)
  })

  it('at its standby first', () => {
    const waiting = (applied: number) => ({ applied, leavesItToStandby: true })
    expect(isDue(at([30, OLD]), waiting(49), limits)).toBe(false)
    expect(isDue(at([30, OLD]), waiting(50), limits)).toBe(true)
  })

  it('as the third only when the newest lasts: the lowest goes for it', () => {
    expect(isDue(at([30, YOUNG], [20, OLD]), owner(99), limits)).toBe(false)
    expect(isDue(at([30, OLD], [20, OLD]), owner(99), limits)).toBe(true)
  })
})

describe('what is not needed', () => {
  it('is behind the second checkpoint, once the first lasts, but for the newest slots', () => {
    expect(removableSlots(at([30, OLD]), 99, limits)).toBe(0)
    expect(removableSlots(at([30, YOUNG], [20, OLD]), 99, limits)).toBe(0)
    expect(removableSlots(at([30, OLD], [20, OLD]), 99, limits)).toBe(20)
    expect(removableSlots(at([30, OLD], [20, OLD]), 22, limits)).toBe(18)
    expect(removableSlots(at([30, OLD], [20, OLD]), 3, limits)).toBe(0)
  })

  it('are checkpoints below the second, when one that stays lasts', () => {
    expect(lowestNeeded(at([30, OLD]), limits)).toBe(0)
    expect(lowestNeeded(at([30, YOUNG], [20, OLD], [10, OLD]), limits)).toBe(20)
    expect(lowestNeeded(at([30, YOUNG], [20, YOUNG], [10, OLD]), limits)).toBe(10)
    expect(lowestNeeded(at([30, YOUNG], [20, YOUNG], [10, YOUNG]), limits)).toBe(0)
    expect(lowestNeeded(at([30, OLD], [20, OLD], [10, OLD]), limits)).toBe(20)
  })
})

/** One owner, alone, and its keeper. */
async function kept() {
  const { nodes, a } = await started(REAL)
  const { clock, server } = nodes
  const checkpoints = new MemoryCheckpoints({ clock })
  const lines: string[] = []
  const say = (_fields: object, message: string) => void lines.push(message)
  const log: Log = { debug: say, info: say, warn: say, error: say, child: () => log }
  const keeper = new CheckpointKeeper({
    ...{ shard: SHARD, store: a.store, journal: a.line, checkpoints, clock, log, limits },
    random: new SeededRandom(1),
  })
  const keeping: Keeping = {
    role: 'owner',
    epoch: a.commit.epoch!,
    last: () => a.commit.last,
    hasStandby: () => false,
  }
  keeper.start(keeping)
  const write = async (notes: number) => {
    for (let n = 0; n < notes; n++) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
    await nodes.settle(1_000)
  }
  const first = () => server.slots(SHARD)[0]!.slot
  const shown = () => checkpoints.shown(SHARD)
  return { nodes, a, checkpoints, keeper, keeping, lines, write, first, shown }
}

/** Recorded before the journal lost its end and went on. */
function lostCheckpoint(checkpoints: MemoryCheckpoints, slot: number): void {
  const value = encodeCheckpoint({
    ...{ slot, hash: 'of a lost record', attempt: `lost ${slot}`, chunks: 0, rows: 0 },
    digest: EMPTY_DIGEST,
  })
  checkpoints.record(SHARD, slot, value, () => {})
}

describe('an owner', () => {
  it('removes slots, raw records and older checkpoints, in the end', async () => {
    const { nodes, a, write, first, shown } = await kept()
    await write(10)
    expect(shown().slots).toEqual([12])
    await write(12)
    expect(shown().slots).toEqual([12, 24])
    await write(20)
    expect([shown().slots, first()], 'the newest is young').toEqual([[12, 24], 1])
    await nodes.settle(OLD)
    expect(shown().slots, 'a third takes the place of the first').toEqual([24, 44])
    expect([first(), tailOf(a.store)[0]]).toEqual([13, 13])
    await nodes.settle(2 * OLD)
    expect([first(), tailOf(a.store)[0]]).toEqual([25, 25])
    expect(shown().slots, 'two stay').toEqual([24, 44])
    expect(await a.seen(A)).toHaveLength(42)
  })

  it('removes nothing when it is no longer the owner', async () => {
    const { nodes, write, first, shown } = await kept()
    await write(10)
    await write(12)
    // It does not know yet.
    await nodes.owner('b')
    await nodes.settle(3 * OLD)
    expect(first()).toBe(1)
    expect(shown().slots).toEqual([12, 24])
    expect(judgeJournal(nodes.server).at(-1)!.kind).toBe('claim')
  })

  it('removes no older checkpoint when it is no longer the owner', async () => {
    const { nodes, checkpoints, write, shown } = await kept()
    await write(10)
    await write(12)
    await nodes.settle(2 * OLD)
    const record = checkpoints.record.bind(checkpoints)
    checkpoints.record = (shard, slot, value, done) => {
      // Another takes the shard before the first is dropped for the third.
      nodes.node('b', { commit: { checkpoints } }).open()
      record(shard, slot, value, done)
    }
    await write(12)
    await nodes.settle(3 * OLD)
    expect(shown().slots).toEqual([12, 24, 36])
  })

  it('removes nothing when the journal has lost its end', async () => {
    const { nodes, write, first } = await kept()
    await write(10)
    await write(12)
    nodes.server.loseLast(SHARD, 1)
    await nodes.settle(3 * OLD)
    expect(first()).toBe(1)
  })

  it('does not count on a checkpoint that is not whole, and makes others', async () => {
    for (const bad of [12, 24]) {
      const { nodes, checkpoints, keeper, keeping, lines, write, first, shown } = await kept()
      const attempts = new Map<number, string>()
      const put = checkpoints.write.bind(checkpoints)
      checkpoints.write = (chunk, bytes, done) => {
        attempts.set(chunk.slot, chunk.attempt)
        put(chunk, bytes, done)
      }
      await write(10)
      await write(12)
      const attempt = attempts.get(bad)!
      checkpoints.damage({ shard: SHARD, slot: bad, attempt, index: 0 }, 'changed')
      await nodes.settle(2 * OLD)
      expect(lines).toContain('a checkpoint is of no use')
      expect(first(), `slot ${bad} is bad`).toBe(1)
      keeper.stop()
      keeper.start(keeping)
      await write(12)
      await nodes.settle(OLD)
      await write(12)
      await nodes.settle(OLD)
      await write(12)
      await nodes.settle(3 * OLD)
      expect(shown().slots).toHaveLength(2)
      expect(shown().slots).not.toContain(bad)
      expect(first()).toBe(shown().slots[0]! + 1)
    }
  })

  it('does not count on a checkpoint of a chain that the journal has lost, and makes others', async () => {
    const { nodes, checkpoints, lines, write, first, shown } = await kept()
    // All of them are whole: before, in the middle of, and beyond what there is.
    for (const slot of [11, 990, 1_000]) lostCheckpoint(checkpoints, slot)
    await write(10)
    await write(12)
    await nodes.settle(2 * OLD)
    expect(shown().slots).toEqual([11, 24, 990, 1_000])
    expect(lines).toContain('a checkpoint is of no use')
    expect(first()).toBe(1)
    await write(12)
    await nodes.settle(2 * OLD)
    expect([shown().slots, first()]).toEqual([[11, 24, 36, 990, 1_000], 25])
    await write(12)
    await nodes.settle(2 * OLD)
    expect([shown().slots, first()]).toEqual([[36, 48, 990, 1_000], 37])
  })

  it('makes its first although one of a chain that was lost lies far ahead', async () => {
    const { nodes, checkpoints, write, shown } = await kept()
    lostCheckpoint(checkpoints, 1_000)
    await write(10)
    await write(12)
    await nodes.settle(2 * OLD)
    expect(shown().slots).toEqual([12, 24, 1_000])
  })

  it.each([
    ['holds another record there', (slot: number) => (slot === 24 ? 23 : slot)],
    ['holds nothing there', (slot: number) => (slot === 24 || slot === 25 ? 999 : slot)],
  ])('does not count on one that it has read when the journal %s', async (_what, shownAs) => {
    const { nodes, a, write, first, shown } = await kept()
    await write(10)
    await write(12)
    await nodes.settle(2 * OLD)
    expect(first(), 'it has read both').toBe(13)
    const read = a.line.read.bind(a.line)
    a.line.read = (shard, slot, done) => read(shard, shownAs(slot), done)
    await write(12)
    await nodes.settle(2 * OLD)
    expect([shown().slots, first()]).toEqual([[12, 24, 36], 13])
  })

  it('reads each checkpoint through once', async () => {
    const { nodes, checkpoints, write, first } = await kept()
    const reads = new Map<number, number>()
    const read = checkpoints.read.bind(checkpoints)
    checkpoints.read = (chunk, done) => {
      if (chunk.index === 0) reads.set(chunk.slot, (reads.get(chunk.slot) ?? 0) + 1)
      read(chunk, done)
    }
    await write(10)
    for (let round = 0; round < 4; round++) {
      await write(12)
      await nodes.settle(2 * OLD)
    }
    expect(first()).toBe(49)
    // Who wrote it has read it back.
    expect([...reads]).toEqual([12, 24, 36, 48, 60].map((slot) => [slot, 2]))
  })

  it('asks again when it does not know what became of it', async () => {
    const { nodes, a, checkpoints, write, first } = await kept()
    await write(10)
    await write(12)
    a.connection.failNext({ on: 'remove', happened: false, count: 2 })
    for (const on of ['list', 'read', 'remove'] as const) {
      checkpoints.failNext({ on, happened: false, count: 3 })
    }
    await nodes.settle(2 * OLD)
    expect(first()).toBe(13)
  })

  it('keeps its records while it does not know', async () => {
    const { nodes, a, write, first } = await kept()
    await write(10)
    await write(12)
    a.connection.failNext({ on: 'remove', happened: false, count: 1_000 })
    await nodes.settle(2 * OLD)
    expect([first(), tailOf(a.store)[0]]).toEqual([1, 1])
  })

  it('never has its journal asked for the end: it would pass for the owner who has to', async () => {
    const { nodes, a, write, first } = await kept()
    await write(10)
    await write(12)
    let ends = 0
    const end = a.line.end.bind(a.line)
    a.line.end = (shard, done) => {
      ends += 1
      end(shard, done)
    }
    await nodes.settle(3 * OLD)
    expect([first(), ends]).toEqual([13, 0])
  })

  it('clears away what a writer has left that died', async () => {
    const { nodes, checkpoints, write, shown } = await kept()
    const left = { shard: SHARD, slot: 11, attempt: 'died', index: 0 }
    checkpoints.write(left, Buffer.from('half'), () => {})
    await write(10)
    await write(12)
    await nodes.settle(2 * OLD)
    await write(12)
    await nodes.settle(2 * OLD)
    expect(shown().slots[0]).toBe(24)
    expect(checkpoints.chunk(left)).toBeUndefined()
  })

  it('tries ever more seldom what does not succeed, leaves nothing of it, and succeeds in the end', async () => {
    const { nodes, checkpoints, write, lines, shown } = await kept()
    const put = checkpoints.write.bind(checkpoints)
    const putRubbish: typeof put = (chunk, _bytes, done) => put(chunk, Buffer.from('rubbish'), done)
    checkpoints.write = putRubbish
    const given = () => lines.filter((line) => line.includes('given up')).length
    await write(10)
    await nodes.settle(20_000)
    const early = given()
    // Twice the wait each time: 0.2 s, 0.4 s, 0.8 s, …
    expect(early).toBeGreaterThan(4)
    expect(early).toBeLessThan(8)
    await nodes.settle(60_000)
    expect(given() - early, 'up to 64 times the first').toBeGreaterThan(3)
    expect(shown()).toEqual({ slots: [], chunks: 0 })
    checkpoints.write = put
    await nodes.settle(20_000)
    expect(shown().slots).toEqual([12])
    checkpoints.write = putRubbish
    const late = given()
    await write(12)
    await nodes.settle(3_000)
    expect(given() - late, 'from the first wait again').toBeGreaterThan(2)
  })

  it('does nothing any more when it is stopped in the middle of a look', async () => {
    const { nodes, checkpoints, keeper, write, first } = await kept()
    await write(10)
    await write(12)
    const read = checkpoints.read.bind(checkpoints)
    let reads = 0
    // Read again only when slots are about to go.
    checkpoints.read = (chunk, done) => {
      reads += 1
      keeper.stop()
      read(chunk, done)
    }
    await nodes.settle(3 * OLD)
    expect([reads, first()]).toEqual([1, 1])
  })

  it('removes nothing when it is stopped while it asks whether it still owns the shard', async () => {
    const { nodes, a, keeper, write, first } = await kept()
    await write(10)
    await write(12)
    const read = a.line.read.bind(a.line)
    let asked = 0
    a.line.read = (shard, slot, done) => {
      // What lies behind its own end.
      if (slot === a.commit.last!.slot + 1) {
        asked += 1
        keeper.stop()
      }
      read(shard, slot, done)
    }
    await nodes.settle(3 * OLD)
    expect([asked, first()]).toEqual([1, 1])
  })

  it('drops no records when it is stopped while slots are removed', async () => {
    const { nodes, a, keeper, write, first } = await kept()
    await write(10)
    await write(12)
    const remove = a.line.remove.bind(a.line)
    a.line.remove = (shard, slot, done) => {
      keeper.stop()
      remove(shard, slot, done)
    }
    await nodes.settle(3 * OLD)
    expect([first(), tailOf(a.store)[0]]).toEqual([13, 1])
  })
})

describe('a standby', () => {
  it('drops its records of slots that the owner has removed', async () => {
    const { nodes, a, keeper, write } = await kept()
    await write(5)
    nodes.server.remove(SHARD, 3)
    keeper.start({ role: 'standby' })
    await nodes.settle(1_000)
    expect(tailOf(a.store)[0]).toBe(4)
  })

  it('makes the next one, and leaves everything where it is', async () => {
    const { nodes, a, keeper, write, first, shown } = await kept()
    await write(10)
    await write(12)
    keeper.stop()
    await write(12)
    keeper.start({ role: 'standby' })
    await nodes.settle(2 * OLD)
    expect(shown().slots).toEqual([12, 24, 36])
    await write(12)
    await nodes.settle(2 * OLD)
    expect(shown().slots).toEqual([12, 24, 36, 48])
    expect([first(), tailOf(a.store)[0]]).toEqual([1, 1])
  })
})

describe('a cluster', () => {
  const shard = 0
  async function settled(names: readonly string[]) {
    const cluster = new Cluster({ shardCount: 2, limits })
    await cluster.started(names)
    const address = cluster.on(shard)
    expect(await cluster.answer(cluster.client.start(address))).toBe('ok')
    const notes: string[] = []
    const write = async (count: number) => {
      for (let n = 0; n < count; n++) {
        notes.push(`${notes.length}`)
        expect(await cluster.answer(cluster.note(address, notes.at(-1)!))).toBe('ok')
      }
    }
    const first = () => cluster.server.slots(shard)[0]!.slot
    /** Until only a checkpoint has the beginning. */
    const trim = async () => {
      for (let round = 0; round < 4; round++) {
        await write(15)
        await cluster.settle(OLD)
      }
      await cluster.until(() => first() > 30, 'slots are removed')
    }
    return { cluster, address, notes, write, first, trim }
  }

  it('has its standbys make the checkpoints', async () => {
    const { cluster, trim } = await settled(['a', 'b'])
    const owner = cluster.at(cluster.serving(shard)[0]!)
    const standby = cluster.at(cluster.view().standbys[shard]!)
    await trim()
    const made = (node: typeof owner) =>
      node
        .said('info', 'a checkpoint is recorded')
        .filter(({ fields }) => fields['shard'] === shard)
    expect(made(owner)).toEqual([])
    expect(made(standby).length).toBeGreaterThan(1)
    expect(standby.said('info', 'slots of the journal are removed')).toEqual([])
    expect(owner.said('info', 'slots of the journal are removed')).not.toEqual([])
    // Nobody keeps raw records of slots that are gone.
    const { slots } = cluster.checkpoints.shown(shard)
    expect(slots).toHaveLength(2)
    for (const node of [owner, standby]) {
      expect(tailOf(node.store)[0]).toBeGreaterThanOrEqual(slots[0]! - 15)
    }
  })

  it('loses nothing when only new nodes go on', async () => {
    const { cluster, address, notes, write, trim } = await settled(['a', 'b'])
    await trim()
    cluster.node('c').start()
    cluster.node('d').start()
    await cluster.until(() => cluster.isSettled(), 'they are there')
    await cluster.at('a').leave()
    cluster.at('a').stop()
    await cluster.at('b').leave()
    cluster.at('b').stop()
    await cluster.until(() => cluster.isSettled(), 'the old ones are gone')
    expect(await cluster.seen(address)).toEqual(notes)
    await write(3)
    expect(await cluster.seen(address)).toEqual(notes)
  })

  it('loses nothing to a node that was away while slots were removed', async () => {
    const { cluster, address, notes, write, trim } = await settled(['a', 'b', 'c'])
    await write(5)
    const owner = cluster.serving(shard)[0]!
    const standby = cluster.view().standbys[shard]!
    const away = cluster.at(owner)
    away.kill()
    await cluster.until(() => cluster.serving(shard)[0] === standby, 'its standby goes on')
    await trim()
    away.restart()
    await cluster.until(() => cluster.isSettled(), 'it is back')
    for (const name of ['a', 'b', 'c'].filter((one) => one !== owner)) {
      await cluster.at(name).leave()
      cluster.at(name).stop()
    }
    await cluster.until(() => cluster.isSettled(), 'it is alone')
    expect(cluster.serving(shard)).toEqual([owner])
    expect(await cluster.seen(address)).toEqual(notes)
    expect(away.said('warn', 'a checkpoint is loaded')).not.toEqual([])
  })
})
