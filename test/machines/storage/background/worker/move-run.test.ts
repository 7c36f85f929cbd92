/** One task of a worker: what stands in the new chunk afterwards, and what is said of it. */
import { afterEach, describe, expect, it } from 'vitest'
import type { MoveTask } from '../../../../../machines/storage/background/worker/index.ts'
import {
  type MoveEnd,
  MoveRun,
} from '../../../../../machines/storage/background/worker/move-run.ts'
import { refusal } from '../../../../../machines/storage/plane/codes/index.ts'
import { type Log, TroupeError } from '../../../../../src/index.ts'
import { realClock, silentLog } from '../../../../worker/process/real-time.ts'
import { QUICK, TwinChunks, VID } from './twin-chunks.ts'

const opened: TwinChunks[] = []
afterEach(async () => {
  for (const twins of opened.splice(0)) await twins.erasure.close()
})

async function volume(mode = 'EC6P3', blobs = 20): Promise<TwinChunks> {
  const twins = new TwinChunks(mode)
  opened.push(twins)
  await twins.fill(blobs)
  return twins
}

class Told {
  readonly stat = { doneSize: 0, doneCount: 0, totalSize: 0, totalCount: 0 }
  shards = 0
  lost: unknown[] = []
  begin = (stat: object) => void Object.assign(this.stat, stat)
  moved = ({ shards }: { shards: number }) => {
    this.shards += shards
  }
  dropped = () => {
    this.stat.totalCount -= 1
  }
  tell = () => {}
}

function running(
  twins: TwinChunks,
  task: MoveTask,
  signal: AbortSignal = new AbortController().signal,
  told = new Told(),
): Promise<MoveEnd> {
  const log: Log = { ...silentLog, error: (fields) => void told.lost.push(fields) }
  const { erasure } = twins
  const deps = { chunks: twins, erasure, clock: realClock, limits: QUICK, log, progress: told }
  return new MoveRun(task, deps, signal).run()
}

const bids = (count: number) => Array.from({ length: count }, (_, n) => BigInt(n + 1))
const repair = { task_type: 'disk_repair', task_id: `disk_repair-1-${VID}-x` }

describe('from the old chunk', () => {
  it('copies all it has, and reads no other', async () => {
    const twins = await volume()
    const told = new Told()
    expect(await running(twins, twins.task(2), undefined, told)).toEqual({
      ...{ kind: 'completed', lost: 0 },
    })
    expect(twins.moved(2)).toEqual(bids(20))
    expect(twins.indexes().map((index) => twins.readsOf(index))).toEqual(
      twins.indexes().map((index) => (index === 2 ? 20 : 0)),
    )
    expect(told.stat).toMatchObject({ doneCount: 0, totalCount: 20 })
    expect(told.shards).toBe(20)
  })

  it('takes what the others lack, and makes up what it lacks itself', async () => {
    const twins = await volume()
    twins.lose(3n, 0, 1, 3, 4, 5, 6, 7, 8)
    twins.lose(5n, 2)
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'completed', lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
  })

  it('leaves out what any unit says is deleted, also in the new chunk', async () => {
    const twins = await volume()
    twins.mark(4n, 7)
    twins.keep(twins.newIndex, 6n, twins.rightOf(6n, 2))
    twins.mark(6n, twins.newIndex)
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'completed' })
    expect(twins.moved(2)).toEqual(bids(20).filter((bid) => bid !== 4n))
    expect(twins.calls.some(({ name, bid }) => name === 'putShard' && bid === 6n)).toBe(false)
  })

  it('leaves out what is deleted while it is copied, in either chunk', async () => {
    const twins = await volume()
    twins.before = ({ name, bid, isNew }) => {
      if (name === 'getShard' && bid === 9n) twins.mark(9n, 2, 3)
      if (name === 'putShard' && isNew && bid === 11n) throw refusal(654, 'it was deleted')
    }
    const told = new Told()
    expect(await running(twins, twins.task(2), undefined, told)).toMatchObject({ lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20).filter((bid) => bid !== 9n && bid !== 11n))
    expect(told.stat.totalCount).toBe(18)
  })

  it('makes up what turns out to be bad, and all when it dies in the middle', async () => {
    const twins = await volume()
    twins.corrupt(7n, 2, 0)
    twins.before = ({ name, bid }) => {
      if (name === 'getShard' && bid === 12n) twins.away.add(2)
    }
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'completed', lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
    // It was not asked for each of them.
    expect(twins.readsOf(2)).toBeLessThan(20)
  })

  it('waits for it while it is busy, and makes up nothing for that', async () => {
    const twins = await volume()
    let busy = 3
    twins.before = ({ name, index }) => {
      if (name === 'getShard' && index === 2 && busy-- > 0) throw refusal(673, 'too many wait')
    }
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'completed', lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
    expect(twins.readsOf(2)).toBe(23)
    expect(twins.indexes().filter((index) => twins.readsOf(index) > 0)).toEqual([2])
  })

  it('makes up what it is too busy to give', async () => {
    const twins = await volume()
    twins.before = ({ name, index }) => {
      if (name === 'getShard' && index === 2) throw refusal(673, 'too many wait')
    }
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'completed', lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
  })

  it('copies nothing a second time that is there', async () => {
    const twins = await volume()
    for (const bid of bids(15)) twins.keep(twins.newIndex, bid, twins.rightOf(bid, 2))
    twins.keep(twins.newIndex, 4n, Buffer.from('another'))
    const told = new Told()
    expect(await running(twins, twins.task(2), undefined, told)).toMatchObject({ lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
    expect(twins.readsOf(2)).toBe(6)
    expect(told.stat).toMatchObject({ doneCount: 14, totalCount: 20 })
    expect(told.shards).toBe(6)
  })

  it('waits until no put can have its quorum, and gives up when it does not come to that', async () => {
    const twins = await volume()
    for (const index of [0, 1, 2, 3, 4, 5]) twins.writable.add(index)
    const early = await running(twins, twins.task(2))
    expect(early).toMatchObject({
      kind: 'cancel',
      reason: expect.stringMatching(/^not ready.*3 of 9/),
    })
    expect(twins.calls.some(({ name }) => name === 'listShards')).toBe(false)
    let looks = 0
    twins.before = ({ name, index }) => {
      if (name === 'statChunk' && index === 0 && ++looks === 2) twins.writable.delete(5)
    }
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'completed' })
  })

  it('asks as many replicas to be read-only as leave a put none of its quorum', async () => {
    const twins = await volume('Replica4TwoAZ')
    for (const index of [1, 2, 3]) twins.writable.add(index)
    expect(await running(twins, twins.task(0))).toMatchObject({ kind: 'cancel' })
    twins.writable.delete(3)
    expect(await running(twins, twins.task(0))).toMatchObject({ kind: 'completed' })
    expect(twins.moved(0)).toEqual(bids(20))
  })

  it('leaves it in peace where that is asked for, but for what can be had nowhere else', async () => {
    const twins = await volume()
    twins.corrupt(3n, 0, 1, 4, 5)
    const task = twins.task(2, { forbidden_direct_download: true })
    expect(await running(twins, task)).toMatchObject({ kind: 'completed', lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
    expect(twins.readsOf(2)).toBe(1)
  })
})

describe.each(['EC6P3', 'EC6P3L3', 'EC12P4', 'Replica3'])('from the others, in %s', (mode) => {
  it('makes all shards of any unit, without a word to the broken disk', async () => {
    const twins = await volume(mode, 6)
    for (const index of [0, twins.newIndex - 1]) {
      twins.fresh.clear()
      twins.calls.splice(0)
      twins.gone.clear()
      twins.gone.add(index)
      expect(await running(twins, twins.task(index, repair))).toEqual({
        ...{ kind: 'completed', lost: 0 },
      })
      expect(twins.moved(index)).toEqual(bids(6))
      expect(twins.calls.filter(({ index: at }) => at === index)).toEqual([])
    }
  })
})

describe('from the others', () => {
  it('reads others instead of those that turn out to be bad', async () => {
    const twins = await volume()
    for (const bid of bids(20)) twins.corrupt(bid, Number(bid) % 9, (Number(bid) + 4) % 9)
    expect(await running(twins, twins.task(2, repair))).toMatchObject({ lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
  })

  it('waits for those that are busy', async () => {
    const twins = await volume()
    for (const index of [0, 1]) twins.gone.add(index)
    const busy = new Set([3, 4])
    twins.before = ({ name, index }) => {
      if (name === 'getShard' && busy.delete(index)) throw refusal(604, 'too many wait')
    }
    expect(await running(twins, twins.task(2, repair))).toMatchObject({ kind: 'completed' })
    expect(busy.size).toBe(0)
    expect(twins.moved(2)).toEqual(bids(20))
  })

  it('stays in its AZ where that is enough', async () => {
    const twins = await volume('EC6P3L3')
    expect(await running(twins, twins.task(0, repair))).toMatchObject({ lost: 0 })
    const read = twins.indexes().filter((index) => twins.readsOf(index) > 0)
    expect(read).toEqual([1, 6, 9])
  })

  it('leaves out what is lost, and says so', async () => {
    const twins = await volume()
    twins.lose(3n, 0, 1, 4, 5)
    twins.corrupt(8n, 0, 1, 4, 5)
    const told = new Told()
    expect(await running(twins, twins.task(2, repair), undefined, told)).toEqual({
      ...{ kind: 'completed', lost: 2 },
    })
    expect(twins.moved(2)).toEqual(bids(20).filter((bid) => bid !== 3n && bid !== 8n))
    expect(told.lost).toMatchObject([{ bid: '3' }, { bid: '8' }])
  })

  it('needs so many answers that no blob that was acknowledged is missed', async () => {
    const twins = await volume()
    for (const index of [0, 1]) twins.away.add(index)
    const end = await running(twins, twins.task(2, repair))
    expect(end).toMatchObject({ kind: 'cancel', reason: expect.stringContaining('6 units answer') })
    expect(twins.fresh.size).toBe(0)
    twins.away.delete(1)
    expect(await running(twins, twins.task(2, repair))).toMatchObject({ kind: 'completed' })
  })

  it('does with fewer when the rest is gone for good', async () => {
    const twins = await volume()
    for (const index of [0, 1, 2]) twins.gone.add(index)
    expect(await running(twins, twins.task(2, repair))).toMatchObject({ lost: 0 })
    expect(twins.moved(2)).toEqual(bids(20))
  })

  it('waits for units that went away in the middle', async () => {
    const twins = await volume()
    twins.before = ({ name, bid }) => {
      if (name === 'getShard' && bid === 12n) for (const index of [0, 1, 3]) twins.away.add(index)
    }
    const end = await running(twins, twins.task(2, repair))
    expect(end).toMatchObject({ kind: 'cancel', reason: expect.stringContaining('nobody answers') })
  })
})

describe('the new chunk', () => {
  it('is given back when it fails, and waited for when it is busy', async () => {
    const twins = await volume()
    let failure: Error = refusal(613, 'disk 10 is broken')
    twins.before = ({ name, isNew }) => {
      if (isNew && name === 'putShard') throw failure
    }
    const broken = await running(twins, twins.task(2))
    expect(broken).toMatchObject({ kind: 'reclaim', reason: expect.stringContaining('broken') })
    failure = refusal(673, 'too many wait')
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'cancel' })
    failure = new TroupeError('unavailable', 'nobody answers')
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'reclaim' })
    expect(await running(twins, twins.task(2, repair))).toMatchObject({ kind: 'reclaim' })
  })

  it('is tried again while it may come back', async () => {
    const twins = await volume()
    let failures = 0
    twins.before = ({ name, isNew }) => {
      if (!isNew || name !== 'copyShards' || ++failures > 2) return
      throw new TroupeError('unavailable', 'nobody answers')
    }
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'completed' })
  })

  it('is given back when it is not there, or has lost what it took', async () => {
    const twins = await volume()
    twins.gone.add(twins.newIndex)
    expect(await running(twins, twins.task(2))).toMatchObject({ kind: 'reclaim' })
    twins.gone.clear()
    let lists = 0
    twins.before = ({ name, isNew }) => {
      if (name === 'copyShards') lists = 1
      if (name === 'listShards' && isNew && lists++ === 1) twins.lose(5n, twins.newIndex)
    }
    expect(await running(twins, twins.task(2))).toMatchObject({
      ...{ kind: 'reclaim', reason: expect.stringContaining('19 of the 20') },
    })
  })
})

it('does nothing for a task that does not fit together', async () => {
  const twins = await volume()
  const { sources, destination } = twins.task(2)
  const wrong: Partial<MoveTask>[] = [
    { sources: sources.slice(1) },
    { sources: [...sources].reverse() },
    { code_mode: 99 },
    { source_vuid: destination.vuid },
    { destination: sources[3]! },
    { destination: sources[2]! },
  ]
  for (const given of wrong) {
    expect(await running(twins, twins.task(2, given))).toMatchObject({ kind: 'cancel' })
  }
  expect(twins.calls).toEqual([])
})

it.each([
  ['copied', {}],
  ['made up', repair],
])('ends in the same chunk when it is killed before any call, %s', async (_, given) => {
  const whole = await volume('EC6P3', 8)
  await running(whole, whole.task(2, given))
  const calls = whole.calls.length
  const twins = await volume('EC6P3', 8)
  for (let kill = 1; kill <= calls; kill += 1) {
    twins.fresh.clear()
    const stop = new AbortController()
    let count = 0
    twins.before = () => {
      count += 1
      if (count >= kill) {
        stop.abort(new Error('killed'))
        throw new Error('killed')
      }
    }
    await expect(running(twins, twins.task(2, given), stop.signal)).rejects.toThrow('killed')
    const before = twins.moved(2)
    twins.before = ({ name, bid, isNew }) => {
      // What is there is not written again.
      if (isNew && name === 'putShard') expect(before).not.toContain(bid)
    }
    expect(await running(twins, twins.task(2, given))).toMatchObject({ kind: 'completed', lost: 0 })
    expect(twins.moved(2)).toEqual(bids(8))
  }
})
