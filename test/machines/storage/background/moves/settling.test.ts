/** A new chunk beside the other units: which shards it should not have, and which it lacks; lists of any length. */
import { describe, expect, it } from 'vitest'
import type { MoveShards } from '../../../../../machines/storage/background/moves/index.ts'
import { verdictOf } from '../../../../../machines/storage/background/moves/settling.ts'
import {
  type Said,
  type SideBySide,
  sideBySide,
} from '../../../../../machines/storage/background/moves/shard-lists.ts'
import { codeModeOf, refusal } from '../../../../../machines/storage/plane/codes/index.ts'
import { TroupeError } from '../../../../../src/index.ts'
import { MoveSim } from './move-sim.ts'

const said = (text: string): { index: number; said: Said }[] =>
  [...text].map((letter, at) => ({
    index: at + 1,
    said: ({ w: 'whole', m: 'marked', a: 'absent', '?': 'nothing' } as const)[letter] ?? 'nothing',
  }))

describe('of a shard of the new chunk', () => {
  // Nine units, of which six make up a blob; the first one is the new chunk.
  const cases: readonly [own: Said, others: string, verdict: string][] = [
    ['whole', 'wwwwwwww', 'well'],
    ['whole', 'wwwwwwwm', 'deleting'],
    ['whole', 'aaaaaaaa', 'vanished'],
    ['whole', 'waaaaaaa', 'vanishing'],
    ['whole', '?aaaaaaa', 'vanishing'],
    // With five others it can be made up.
    ['whole', 'wwwwwaaa', 'well'],
    ['whole', 'wwwwaaaa', 'vanishing'],
    // Who is silent may have it.
    ['whole', 'wwwa???a', 'well'],
    ['marked', 'aaaaaaaa', 'deleted'],
    ['marked', 'aaaaaaam', 'marked'],
    ['marked', 'aaaaaaa?', 'marked'],
    ['marked', 'wwwwwwww', 'marked'],
    ['absent', 'wwwwwwww', 'lacking'],
    ['absent', 'wwwwwwaa', 'lacking'],
    ['absent', 'wwwwwaaa', 'well'],
    // Who is silent may have it; who has it alone may be who it was copied from.
    ['absent', 'w?????aa', 'lacking'],
    ['absent', 'w????aaa', 'well'],
    ['absent', '????????', 'well'],
    ['absent', 'wwwwwwwm', 'well'],
    ['absent', 'aaaaaaaa', 'well'],
  ]
  for (const [own, others, verdict] of cases) {
    it(`${own} beside ${others}: ${verdict}`, () => {
      expect(verdictOf(codeModeOf('EC6P3'), own, said(others))).toBe(verdict)
    })
  }

  it('a copy that no other unit has was deleted or lost, and lives with one of them', () => {
    const mode = codeModeOf('Replica3')
    expect(verdictOf(mode, 'whole', said('aa'))).toBe('vanished')
    expect(verdictOf(mode, 'whole', said('wa'))).toBe('well')
    expect(verdictOf(mode, 'whole', said('?a'))).toBe('well')
    expect(verdictOf(mode, 'absent', said('wa'))).toBe('lacking')
  })

  it('local parity alone makes up no blob', () => {
    const mode = codeModeOf('EC6P3L3')
    expect(verdictOf(mode, 'absent', said('wwwwaaaawww'))).toBe('well')
    expect(verdictOf(mode, 'absent', said('wwwwwwaawww'))).toBe('lacking')
  })
})

describe('lists side by side', () => {
  /** By place: bids; a negative one is marked. A text, or the number of a refusal, is what it throws. */
  function listing(
    lists: readonly (readonly number[] | string | number)[],
    needed: number[] = [],
    unheard = new Set<number>(),
  ) {
    const shards: Pick<MoveShards, 'listShards'> = {
      listShards: async ({ diskId }, { from, count }) => {
        const list = lists[diskId] ?? []
        if (typeof list === 'number') throw refusal(list, 'as a blobnode says it')
        if (typeof list === 'string') throw new TroupeError('unavailable', list)
        const rest = list.filter((bid) => BigInt(Math.abs(bid)) >= from)
        const page = rest.slice(0, Math.min(count, 2)).map((bid) => ({
          ...{ bid: BigInt(Math.abs(bid)), flag: bid < 0 ? (2 as const) : (1 as const) },
        }))
        return { shards: page, next: BigInt(Math.abs(rest[2] ?? 0)) }
      },
    }
    const places = lists.map((_, diskId) => ({ diskId, vuid: 1n, address: '' }))
    const { signal } = new AbortController()
    return sideBySide({ shards: shards as MoveShards, places, needed, signal, unheard })
  }

  async function read(rows: AsyncIterable<SideBySide>): Promise<string[]> {
    const lines: string[] = []
    for await (const { bid, said: voices } of rows) lines.push(`${bid} ${voices.join(' ')}`)
    return lines
  }

  it('are read page by page, in the order of their ids', async () => {
    expect(await read(listing([[1, 2, 3, 7, 9], [2, -3, 8], []]))).toEqual([
      ...['1 whole absent absent', '2 whole whole absent', '3 whole marked absent'],
      ...['7 whole absent absent', '8 absent whole absent', '9 whole absent absent'],
    ])
  })

  it('a unit that does not answer says nothing, and is named', async () => {
    const unheard = new Set<number>()
    expect(await read(listing([[1], 'it is away'], [], unheard))).toEqual(['1 whole nothing'])
    expect([...unheard]).toEqual([1])
  })

  it.each([613, 621, 623, 624, 658])(
    'one that says %i says nothing more, and has answered',
    async (status) => {
      const unheard = new Set<number>()
      expect(await read(listing([[1], status], [], unheard))).toEqual(['1 whole nothing'])
      expect([...unheard]).toEqual([])
    },
  )

  it('one that is needed has to answer', async () => {
    await expect(read(listing([[1], 'it is away'], [1]))).rejects.toThrow('it is away')
  })
})

describe('a blob that is deleted', () => {
  const newChunk = async (sim: MoveSim, taskId: string) => {
    const { destination: at } = await sim.record(taskId)
    return [...(sim.shards.get(`${at.diskId}/${at.vuid}`)?.keys() ?? [])]
  }

  for (const isComplete of [true, false]) {
    it(`${isComplete ? 'wholly' : 'in part'} while it is copied is not in the new chunk when that is swapped in`, async () => {
      const sim = await MoveSim.open()
      const taskId = await sim.add(0)
      await sim.at(taskId, 'prepared.queued', { isWorking: false })
      const held = await sim.acquire('w1')
      if (held === undefined) throw new Error('there is nothing to do')
      await sim.copy(taskId)
      const { sourceVuid, destination } = await sim.record(taskId)
      const dest = `${destination.diskId}/${destination.vuid}`
      let atSwap: bigint[] = []
      sim.volumes.fate = (verb, at) => {
        const isSwapped = verb === 'release' && at.vuid === sourceVuid
        if (isSwapped) atSwap = [...(sim.shards.get(dest)?.keys() ?? [])]
        return 'done'
      }
      await sim.deleteBlob(2n, isComplete)
      await sim.complete('w1', held)
      expect(await sim.ended(taskId)).toMatchObject({ state: 4, workerRedoCnt: 0 })
      expect(atSwap).toEqual([1n, 3n, 4n, 5n])
      expect(await newChunk(sim, taskId)).toEqual(atSwap)
      expect(sim.removals).toEqual([])
    })
  }

  it('with an older mapping just before the swap is found when the old chunk is gone', async () => {
    const sim = await MoveSim.open()
    const old = await sim.unit(0)
    let isDeleted = false
    sim.volumes.fate = (verb, at) => {
      // The old chunk is about to be released: whoever has its mapping may still delete there.
      const isLast = verb === 'release' && at.vuid === old.vuid
      if (isLast && !isDeleted) {
        isDeleted = true
        for (const [key, shards] of sim.shards)
          if (!key.endsWith(`/${sim.swappedIn}`)) shards.delete(4n)
      }
      return 'done'
    }
    await sim.knowRemoval(4n)
    const taskId = await sim.add(0)
    const ready = await sim.at(taskId, 'prepared.queued', { isWorking: false })
    sim.swappedIn = ready.destination.vuid
    await sim.ended(taskId)
    expect(isDeleted).toBe(true)
    expect(await newChunk(sim, taskId)).toEqual([1n, 2n, 3n, 5n])
  })

  it('is no other than one that all the others have lost, but for the actor that deletes it', async () => {
    const sim = await MoveSim.open()
    const { vuid, diskId } = await sim.unit(0)
    for (const [key, shards] of sim.shards) if (key !== `${diskId}/${vuid}`) shards.delete(4n)
    const taskId = await sim.add(0)
    await sim.ended(taskId)
    expect(await newChunk(sim, taskId)).toEqual([1n, 2n, 3n, 4n, 5n])
    expect(sim.removals).toEqual([])
  })

  it('and was marked in the new chunk before a crash goes from it', async () => {
    const sim = await MoveSim.open()
    sim.beforeComplete = (dest) => dest.set(4n, 2)
    const taskId = await sim.add(0)
    await sim.at(taskId, 'prepared.queued', { isWorking: false })
    for (const shards of sim.shards.values()) shards.delete(4n)
    await sim.ended(taskId)
    expect(await newChunk(sim, taskId)).toEqual([1n, 2n, 3n, 5n])
  })

  it('by somebody who is at it still is told of the new chunk', async () => {
    const sim = await MoveSim.open()
    const old = await sim.unit(0)
    sim.volumes.fate = (verb, at) => {
      if (verb === 'release' && at.vuid === old.vuid) {
        for (const [key, shards] of sim.shards) {
          if (!key.endsWith(`/${sim.swappedIn}`) && shards.has(4n)) shards.set(4n, 2)
        }
      }
      return 'done'
    }
    const taskId = await sim.add(0)
    const ready = await sim.at(taskId, 'prepared.queued', { isWorking: false })
    sim.swappedIn = ready.destination.vuid
    const { destination: at } = await sim.ended(taskId)
    expect(sim.shards.get(`${at.diskId}/${at.vuid}`)?.get(4n)).toBe(2)
    expect(sim.removals).toEqual([4n])
  })
})

describe('units that are up and do not answer', () => {
  async function lacking(
    silence: (lists: number, vuid: bigint) => boolean,
  ): Promise<[MoveSim, string]> {
    const sim = await MoveSim.open()
    let copies = 0
    let lists = 0
    sim.beforeComplete = (dest) => {
      copies += 1
      if (copies === 1) dest.delete(3n)
    }
    const taskId = await sim.add(0)
    const { destination } = await sim.at(taskId, 'prepared.queued', { isWorking: false })
    sim.volumes.fate = (verb, at) => {
      if (verb !== 'list' || at.vuid === destination.vuid) return 'done'
      lists += 1
      return silence(lists, at.vuid) ? 'fails' : 'done'
    }
    return [sim, taskId]
  }

  it('are asked again, so that what a copy lacks is found before it takes its place', async () => {
    const [sim, taskId] = await lacking((lists) => lists <= 3)
    const { wait } = await sim.at(taskId, 'work_completed.comparePausing')
    expect(wait?.why).toContain('they do not answer: unit 0 of')
    expect(await sim.ended(taskId)).toMatchObject({ state: 4, workerRedoCnt: 1 })
    expect(sim.repairs).toEqual([])
  })

  it('hold nobody up for ever', async () => {
    const [sim, taskId] = await lacking(() => true)
    const begun = sim.volumes.h.clock.now()
    expect(await sim.ended(taskId)).toMatchObject({ state: 4, workerRedoCnt: 0 })
    expect(sim.volumes.h.clock.now() - begun).toBeGreaterThan(60_000)
  })

  it('are asked as often behind the swap, however long the old chunk took to go', async () => {
    const sim = await MoveSim.open()
    const old = await sim.unit(0)
    const taskId = await sim.add(0)
    sim.volumes.fate = (verb, at) => (verb === 'release' && at.vuid === old.vuid ? 'fails' : 'done')
    await sim.until(taskId, (_, { tries }) => tries > 7)
    const { destination } = await sim.record(taskId)
    sim.volumes.fate = (verb, at) =>
      verb === 'list' && at.vuid !== destination.vuid ? 'fails' : 'done'
    const { wait } = await sim.until(taskId, (_, record) => record.unheardTries > 1)
    expect(wait?.why).toContain('they do not answer')
    sim.volumes.fate = () => 'done'
    expect(await sim.ended(taskId)).toMatchObject({ state: 4, unheardTries: 0 })
  })

  it('are not waited for when their disk is away', async () => {
    const [sim, taskId] = await lacking((_, vuid) => away.includes(vuid))
    const away = [(await sim.unit(1)).vuid, (await sim.unit(2)).vuid]
    for (const index of [1, 2]) {
      const { diskId } = await sim.unit(index)
      await sim.run(sim.volumes.disks.set(diskId, 2))
    }
    const begun = sim.volumes.h.clock.now()
    expect(await sim.ended(taskId)).toMatchObject({ state: 4 })
    expect(sim.volumes.h.clock.now() - begun).toBeLessThan(20_000)
  })
})

it('is completed when somebody unlocked its volume under it: what was written since is not in the copy', async () => {
  const sim = await MoveSim.open()
  const taskId = await sim.add(0)
  const { destination, sourceVuid: oldVuid } = await sim.at(taskId, 'prepared.queued', {
    isWorking: false,
  })
  await sim.volumes.ask({ type: 'UNLOCK', force: true })
  const { wait } = await sim.at(taskId, 'inited.delayed')
  expect(wait?.why).toContain('claim it anew')
  sim.copied.length = 0
  for (const index of [0, 1, 2]) (await sim.shardsOf(index)).set(9n, 1)
  // A swap that was asked for before that comes when the volume is locked again.
  await sim.at(taskId, 'prepared.queued', { isWorking: false })
  const swap = { newVuid: destination.vuid, oldVuid, newDiskId: destination.diskId }
  const late = { type: 'UPDATE_UNIT', ...swap, claim: { mover: taskId, turn: 1 }, at: 1 }
  expect(await sim.volumes.ask(late)).toMatchObject({ refused: 929 })
  expect((await sim.unit(0)).vuid).toBe(oldVuid)
  expect(await sim.ended(taskId)).toMatchObject({ state: 4, destination, workerRedoCnt: 0 })
  expect(sim.copied, 'what is there already is not copied again').toEqual([[9n]])
  expect((await sim.shardsOf(0)).get(9n)).toBe(1)
  expect(sim.repairs).toEqual([])
})
