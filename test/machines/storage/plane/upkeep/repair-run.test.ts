/** One try of a repair, over units in every condition. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canRebuild } from '../../../../../machines/storage/plane/erasure/index.ts'
import {
  type RepairOrder,
  RepairRun,
} from '../../../../../machines/storage/plane/upkeep/repair-run.ts'
import { BID, Twins } from './twins.ts'

async function repair(twins: Twins, badIndexes: number[], order: Partial<RepairOrder> = {}) {
  const run = new RepairRun(twins.ports(), twins.volume(), {
    ...{ bid: BID, badIndexes, inDoubt: [], signal: new AbortController().signal },
    isBeingDeleted: async () => false,
    ...order,
  })
  const outcome = await run.run()
  expect(twins.stripesOut).toBe(0)
  return { ...outcome, isMoved: run.isMoved }
}

describe('a bad shard', () => {
  it('that is not there is made again from as many others as it takes', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(2)
    expect(await repair(twins, [2])).toMatchObject({ end: 'repaired', repaired: [2] })
    expect(twins.isRight(2)).toBe(true)
    expect(twins.reads).toHaveLength(6)
  })

  it('that is corrupt is replaced', async () => {
    const twins = new Twins('EC6P3')
    twins.corrupt(7)
    expect(await repair(twins, [7])).toMatchObject({ end: 'repaired', repaired: [7] })
    expect(twins.isRight(7)).toBe(true)
  })

  it('that is whole after all is left alone', async () => {
    const twins = new Twins('EC6P3')
    expect(await repair(twins, [0, 1, 2, 3])).toMatchObject({ end: 'whole', repaired: [] })
    expect(twins.puts).toEqual([])
  })

  it('is repaired with others that turn out to be bad', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(0, 8)
    twins.corrupt(1)
    const outcome = await repair(twins, [0])
    expect(outcome).toMatchObject({ end: 'repaired', badIndexes: [] })
    expect(twins.indexes().every((index) => twins.isRight(index))).toBe(true)
  })

  it('of another size than all others is replaced', async () => {
    const twins = new Twins('Replica3')
    twins.write(0, Buffer.from('short'))
    expect(await repair(twins, [0])).toMatchObject({ end: 'repaired', repaired: [0] })
    expect(twins.isRight(0)).toBe(true)
  })

  it('is made from its AZ alone where that has local parity', async () => {
    const twins = new Twins('EC6P3L3')
    twins.lose(0)
    expect(await repair(twins, [0])).toMatchObject({ end: 'repaired' })
    expect(twins.reads.sort()).toEqual([1, 6, 9])
  })

  it('of which the AZ has too little is made from the others', async () => {
    const twins = new Twins('EC6P3L3')
    twins.lose(0, 1)
    expect(await repair(twins, [0, 1])).toMatchObject({ end: 'repaired', repaired: [0, 1] })
  })

  it.each([
    ['no unit is left to ask', [0, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['the only one left never had it', [0, 1, 2, 3, 4, 5, 6, 7]],
  ])('is no sign of a deletion where an attempt was cut off and %s', async (_when, bad) => {
    const twins = new Twins('EC6P3')
    if (!bad.includes(8)) twins.lose(8)
    expect((await repair(twins, bad, { inDoubt: bad })).end).not.toBe('deleted')
    expect(bad.every((index) => twins.isRight(index))).toBe(true)
  })

  it('is left to be done where its unit cannot be reached', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(2)
    twins.corrupt(3)
    twins.away.add(2)
    const outcome = await repair(twins, [2, 3])
    expect(outcome).toMatchObject({ end: 'failed', repaired: [3], badIndexes: [2], isMoved: false })
    expect(outcome.why).toContain('unit 2')
  })

  it('on a broken disk asks for the mapping', async () => {
    const twins = new Twins('EC6P3')
    twins.gone.add(2)
    expect(await repair(twins, [2])).toMatchObject({ end: 'failed', isMoved: true })
  })
})

describe('a blob of which too little is left', () => {
  it('is an orphan when nobody has more', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(0, 1)
    twins.corrupt(2)
    twins.gone.add(3)
    const outcome = await repair(twins, [0, 1, 2, 3])
    expect(outcome).toMatchObject({ end: 'orphan', badIndexes: [0, 1, 2, 3] })
    expect(outcome.why).toContain('5 are whole, 2 are not there, 1 are corrupt, 1 are on disks')
    expect(twins.puts).toEqual([])
  })

  it('is one also when that shows while it is read', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(0)
    twins.corrupt(1, 2, 3)
    expect(await repair(twins, [0])).toMatchObject({ end: 'orphan', badIndexes: [0, 1, 2, 3] })
  })

  it('is waited for when it may be elsewhere', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(0)
    for (const index of [1, 2, 3, 4]) twins.away.add(index)
    expect(await repair(twins, [0])).toMatchObject({ end: 'failed', badIndexes: [0] })
  })
})

describe('a deleted blob', () => {
  it('does not come back', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(2)
    twins.mark(8)
    expect(await repair(twins, [2])).toMatchObject({ end: 'deleted' })
    expect(twins.puts).toEqual([])
  })

  it('does not come back when somebody was asked to delete it', async () => {
    const twins = new Twins('Replica3')
    twins.lose(2)
    const outcome = await repair(twins, [2], { isBeingDeleted: async () => true })
    expect(outcome).toMatchObject({ end: 'deleted' })
    expect(twins.puts).toEqual([])
  })

  it('is gone when no unit has anything', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(...twins.indexes())
    expect(await repair(twins, [2])).toMatchObject({ end: 'deleted' })
  })

  it.each(['marked', 'deleted'])(
    'that is %s between read and put is not brought back',
    async (how) => {
      const twins = new Twins('EC6P3')
      twins.lose(2)
      twins.onPut = () => {
        const others = twins.indexes().filter((index) => index !== 2)
        if (how === 'marked') twins.mark(...others.slice(0, 4))
        else twins.lose(...others)
      }
      expect(await repair(twins, [2])).toMatchObject({ end: 'deleted' })
      expect(twins.shards.has(2)).toBe(false)
    },
  )

  it('is in doubt while too few can be asked, and what was put is found again', async () => {
    const twins = new Twins('EC6P3')
    const others = [0, 1, 3, 4]
    twins.lose(2)
    twins.onPut = () => {
      for (const index of others) twins.away.add(index)
    }
    const first = await repair(twins, [2])
    expect(first).toMatchObject({ end: 'failed', repaired: [2], badIndexes: [], inDoubt: [2] })
    const { inDoubt } = first
    expect(await repair(twins, [], { inDoubt })).toMatchObject({ end: 'failed', inDoubt: [2] })
    twins.away.clear()
    expect(await repair(structuredTwin(twins), [], { inDoubt })).toMatchObject({ end: 'whole' })
    twins.lose(...twins.indexes().filter((index) => index !== 2))
    expect(await repair(twins, [], { inDoubt })).toMatchObject({ end: 'deleted' })
    expect(twins.shards.has(2)).toBe(false)
  })

  it('is tried again where the shard that was put cannot be taken away', async () => {
    const twins = new Twins('EC6P3')
    twins.lose(2)
    twins.onPut = () => {
      twins.mark(0)
      twins.away.add(2)
    }
    const outcome = await repair(twins, [2])
    expect(outcome).toMatchObject({ end: 'failed', inDoubt: [2] })
    twins.away.clear()
    expect(await repair(twins, [2], outcome)).toMatchObject({ end: 'deleted' })
    expect(twins.shards.has(2)).toBe(false)
  })
})

/** Another with the same shards: what is looked at in it changes nothing. */
function structuredTwin(twins: Twins): Twins {
  const other = new Twins(twins.mode.name)
  other.shards.clear()
  for (const [index, shard] of twins.shards) other.shards.set(index, { ...shard })
  return other
}

const CONDITIONS = [
  'whole',
  'whole',
  'whole',
  'absent',
  'corrupt',
  'marked',
  'away',
  'gone',
] as const

it('whatever the units say: only right bytes are put, and none of a deleted blob', async () => {
  const scene = fc.constantFrom('EC6P3', 'EC6P3L3', 'EC12P4', 'Replica3').chain((mode) => {
    const count = new Twins(mode).right.length
    return fc.record({
      mode: fc.constant(mode),
      conditions: fc.array(fc.constantFrom(...CONDITIONS), { minLength: count, maxLength: count }),
      bad: fc.uniqueArray(fc.nat(count - 1), { minLength: 1 }),
    })
  })
  await fc.assert(
    fc.asyncProperty(scene, async ({ mode, conditions, bad }) => {
      const twins = new Twins(mode)
      for (const [index, condition] of conditions.entries()) {
        if (condition === 'absent') twins.lose(index)
        if (condition === 'corrupt') twins.corrupt(index)
        if (condition === 'marked') twins.mark(index)
        if (condition === 'away' || condition === 'gone') twins[condition].add(index)
      }
      const { end, repaired, badIndexes } = await repair(twins, bad)
      if (conditions.includes('marked')) expect([end, twins.puts]).toEqual(['deleted', []])
      for (const index of twins.puts) expect(twins.isRight(index)).toBe(true)
      expect(repaired.every((index) => twins.isRight(index))).toBe(true)
      if (end === 'repaired' || end === 'whole') {
        expect(bad.every((index) => twins.isRight(index))).toBe(true)
      }
      if (end === 'orphan') {
        const left = twins.indexes().filter((index) => {
          const condition = conditions[index]
          return condition === 'whole' || condition === 'away'
        })
        expect(canRebuild(twins.mode, left, badIndexes)).toBe(false)
      }
      if (end === 'whole') expect(twins.puts).toEqual([])
    }),
    { numRuns: 300 },
  )
})
