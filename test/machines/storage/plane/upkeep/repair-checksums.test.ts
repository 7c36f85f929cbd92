/** Shards whose bytes are whole, and the checksums of whose blocks are not: no part of them can be read. */
import { expect, it } from 'vitest'
import { refusal } from '../../../../../machines/storage/plane/codes/index.ts'
import type { UpkeepPorts } from '../../../../../machines/storage/plane/upkeep/index.ts'
import { RepairRun } from '../../../../../machines/storage/plane/upkeep/repair-run.ts'
import { BID, Twins } from './twins.ts'

/** A part of unit 3 cannot be read before it is written anew. */
function withoutChecksums(twins: Twins): UpkeepPorts {
  const ports = twins.ports()
  const { shards } = ports
  const broken = twins.volume().units[3]?.vuid
  const getShard: typeof shards.getShard = async (at, bid, options) => {
    const isPart = options?.range !== undefined
    if (isPart && at.vuid === broken && !twins.puts.includes(3)) throw refusal(658, 'no checksums')
    return shards.getShard(at, bid, options)
  }
  return { ...ports, shards: { ...shards, getShard } }
}

async function repair(twins: Twins, badIndexes: number[]) {
  const run = new RepairRun(withoutChecksums(twins), twins.volume(), {
    ...{ bid: BID, badIndexes, inDoubt: [], signal: new AbortController().signal },
    isBeingDeleted: async () => false,
  })
  return run.run()
}

it('one that somebody complains of is written anew', async () => {
  const twins = new Twins('EC6P3')
  expect(await repair(twins, [3])).toMatchObject({ end: 'repaired', repaired: [3] })
  expect(twins.isRight(3)).toBe(true)
  expect(await repair(twins, [3])).toMatchObject({ end: 'whole' })
})

it('one that nobody complains of is as good as any to make others of', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(0, 1, 2)
  expect(await repair(twins, [0, 1, 2])).toMatchObject({ end: 'repaired', repaired: [0, 1, 2] })
})
