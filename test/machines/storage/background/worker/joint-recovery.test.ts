/** Shards of several blobs that are made up at once: who is asked how often, and what is left to be done one by one. */
import { crc32 } from 'node:zlib'
import { afterEach, describe, expect, it } from 'vitest'
import type { RecoveryCode } from '../../../../../machines/storage/background/worker/index.ts'
import {
  JointRecovery,
  jointRows,
} from '../../../../../machines/storage/background/worker/joint-recovery.ts'
import {
  type MovePlan,
  movePlanOf,
} from '../../../../../machines/storage/background/worker/move-task.ts'
import type { ShardRow } from '../../../../../machines/storage/background/worker/shard-table.ts'
import { BufferPool, MANY_BYTES_MAX } from '../../../../../machines/storage/plane/blobnode/index.ts'
import {
  CODE_MODES,
  codeModeOf,
  refusal,
} from '../../../../../machines/storage/plane/codes/index.ts'
import { realClock } from '../../../../worker/process/real-time.ts'
import { QUICK, TwinChunks, VID } from './twin-chunks.ts'

const opened: TwinChunks[] = []
afterEach(async () => {
  for (const twins of opened.splice(0)) await twins.erasure.close()
})

const INDEX = 2
const repair = { task_type: 'disk_repair', task_id: `disk_repair-1-${VID}-x` }

async function volume(mode = 'EC6P3', blobs = 10) {
  const twins = new TwinChunks(mode)
  opened.push(twins)
  await twins.fill(blobs)
  const plan = movePlanOf(twins.task(INDEX, repair))
  const all = twins.indexes().reduce((units, index) => units | (1n << BigInt(index)), 0n)
  const rows = [...twins.right.keys()].map((bid): ShardRow => {
    return { bid, size: twins.rightOf(bid, INDEX).length, crc: 0, units: all }
  })
  const stop = new AbortController()
  const released: unknown[] = []
  const { erasure } = twins
  const watched: RecoveryCode = {
    stripe: (of, bytes) => erasure.stripe(of, bytes),
    rebuild: (stripe, ...rest) => erasure.rebuild(stripe as never, ...rest),
    release: (stripe) => {
      released.push(stripe)
      erasure.release(stripe as never)
    },
  }
  const joint = new JointRecovery(plan, {
    ...{ chunks: twins, erasure: watched, buffers: new BufferPool(), io: 'repair' },
    ...{ clock: realClock, limits: QUICK, signal: stop.signal },
  })
  return { twins, plan, rows, joint, stop, released }
}

type Volume = Awaited<ReturnType<typeof volume>>

async function expectMade({ twins, joint, rows }: Volume, bids = rows.map(({ bid }) => bid)) {
  const made = await joint.recover(rows)
  expect(made?.shards.map(({ bid }) => bid)).toEqual(bids)
  const right = Buffer.concat(bids.map((bid) => twins.rightOf(bid, INDEX)))
  expect(made?.bytes.equals(right)).toBe(true)
  for (const { bid, crc } of made?.shards ?? []) expect(crc).toBe(crc32(twins.rightOf(bid, INDEX)))
}

const asked = ({ twins }: Volume) =>
  twins.calls.filter(({ name }) => name === 'getShards').map(({ index }) => index)

describe.each(['EC6P3', 'EC6P3L3', 'EC12P4', 'Replica3'])('together, in %s', (mode) => {
  it('are made up as they were written, of one answer of each unit', async () => {
    const given = await volume(mode)
    await expectMade(given)
    const units = asked(given)
    expect(new Set(units).size).toBe(units.length)
    expect(units).not.toContain(INDEX)
    expect(given.released).toHaveLength(1)
  })
})

describe('what goes wrong', () => {
  it('leaves out blobs of which a shard is bad, and asks for the others once more', async () => {
    const given = await volume()
    given.twins.corrupt(3n, 0)
    given.twins.mark(7n, 4)
    await expectMade(
      given,
      given.rows.map(({ bid }) => bid).filter((bid) => bid !== 3n && bid !== 7n),
    )
    expect(asked(given)).toHaveLength(12)
  })

  it('does without units that do not answer, from then on, and leaves them the memory that they may still fill', async () => {
    const given = await volume()
    given.twins.away.add(0)
    await expectMade(given)
    expect(given.released).toHaveLength(1)
    expect(asked(given)).toHaveLength(12)
    given.twins.calls.splice(0)
    await expectMade(given)
    expect(asked(given)).not.toContain(0)
  })

  it('asks them again once for each group, where the others do not suffice', async () => {
    const given = await volume()
    const { away } = given.twins
    for (const index of [0, 1, 3, 4]) away.add(index)
    expect(await given.joint.recover(given.rows)).toBeUndefined()
    away.clear()
    await expectMade(given)
    // Who answers again is asked as before, and who does not is asked no more.
    away.add(8)
    given.twins.calls.splice(0)
    await expectMade(given)
    expect(asked(given)).toHaveLength(new Set(asked(given)).size)
  })

  it('makes nothing where too few are left', async () => {
    const given = await volume()
    for (const index of [0, 1, 3, 4]) given.twins.gone.add(index)
    expect(await given.joint.recover(given.rows)).toBeUndefined()
    expect(given.twins.fresh.size).toBe(0)
  })

  it('gives out nothing that is known to have been something else', async () => {
    const given = await volume()
    given.rows[4]!.crc = 1
    await expectMade(
      given,
      given.rows.map(({ bid }) => bid).filter((bid) => bid !== given.rows[4]!.bid),
    )
  })

  it('is told as it is where it is no answer', async () => {
    const given = await volume()
    given.twins.before = () => {
      throw new RangeError('a mistake of ours')
    }
    await expect(given.joint.recover(given.rows)).rejects.toThrow(RangeError)
  })

  it('asks for no more than goes into one call', async () => {
    const given = await volume('Replica3')
    given.rows[0]!.size = MANY_BYTES_MAX
    expect(await given.joint.recover(given.rows)).toBeUndefined()
    expect(given.twins.calls).toEqual([])
  })

  it('waits for who is busy', async () => {
    const given = await volume()
    const busy = new Set([0, 5])
    given.twins.before = ({ name, index }) => {
      if (name === 'getShards' && busy.delete(index)) throw refusal(673, 'too many wait')
    }
    await expectMade(given)
    expect(busy.size).toBe(0)
  })

  it('ends when it is not wanted, and gives back no memory that is still filled', async () => {
    const given = await volume()
    given.twins.before = () => {
      given.stop.abort(new Error('the worker stops'))
      throw new Error('cut')
    }
    await expect(given.joint.recover(given.rows)).rejects.toThrow('the worker stops')
    expect(given.released).toEqual([])
  })
})

it.each(CODE_MODES.map(({ name }) => name))('fit into one call of each unit, in %s', (name) => {
  const plan = { mode: codeModeOf(name) } as MovePlan
  for (const size of [262_144, 1_000_000, 4_194_304]) {
    const rows = Array.from({ length: 64 }, (_, n) => ({
      row: { bid: BigInt(n), size, crc: 0, units: 1n },
    }))
    for (const some of jointRows(rows, plan))
      expect(some.length * size).toBeLessThanOrEqual(MANY_BYTES_MAX)
  }
})

it('are neighbours of the same units, and no more than fit into memory', async () => {
  const { plan } = await volume('EC6P3', 1)
  const row = (n: number, size: number, units = 1n) => ({
    row: { bid: BigInt(n), size, crc: 0, units },
  })
  const cut = (rows: ReturnType<typeof row>[]) =>
    [...jointRows(rows, plan)].map((some) => some.map(({ row: { bid } }) => Number(bid)))
  expect(cut([])).toEqual([])
  expect(cut([row(1, 10), row(2, 10), row(3, 10, 3n), row(4, 10)])).toEqual([[1, 2], [3], [4]])
  expect(cut([row(1, 3_600_000), row(2, 100), row(3, 200_000), row(4, 4_000_000)])).toEqual([
    [1, 2],
    [3],
    [4],
  ])
  expect(cut(Array.from({ length: 300 }, (_, n) => row(n, 1))).map(({ length }) => length)).toEqual(
    [256, 44],
  )
})
