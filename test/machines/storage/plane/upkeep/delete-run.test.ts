/** One try of a deletion, over units in every condition. */
import { describe, expect, it } from 'vitest'
import { DeleteRun } from '../../../../../machines/storage/plane/upkeep/delete-run.ts'
import type { Stage } from '../../../../../machines/storage/plane/upkeep/stages.ts'
import { BID, Twins } from './twins.ts'

async function remove(twins: Twins, stages: Stage[] = []) {
  const run = new DeleteRun(twins.ports(), twins.volume(), BID, stages)
  const isDone = (await run.mark()) && (await run.delete())
  return { stages: run.stages, why: isDone ? null : run.why, isMoved: run.isMoved }
}

describe('a deletion', () => {
  it('ends on all units, also where nothing was', async () => {
    const twins = new Twins('Replica3')
    twins.lose(1)
    twins.mark(2)
    expect(await remove(twins)).toEqual({ stages: [2, 2, 2], why: null, isMoved: false })
    expect(twins.shards.size).toBe(0)
  })

  it('deletes nothing before all are marked', async () => {
    const twins = new Twins('Replica3')
    twins.away.add(2)
    const first = await remove(twins)
    expect(first).toMatchObject({ stages: [1, 1, 0], isMoved: false })
    expect(first.why).toContain('unit 2 on disk 102: nobody listens')
    expect(twins.shards.size).toBe(3)
    twins.away.clear()
    expect(await remove(twins, first.stages)).toMatchObject({ stages: [2, 2, 2], why: null })
    expect(twins.shards.size).toBe(0)
  })

  it('does not ask units that are done', async () => {
    const twins = new Twins('Replica3')
    twins.away.add(0)
    expect(await remove(twins, [2])).toMatchObject({ stages: [2, 2, 2], why: null })
  })

  it('marks what comes to a unit that had nothing, before it asks for another look', async () => {
    const twins = new Twins('Replica3')
    twins.lose(0)
    twins.onPut = (index) => twins.write(index)
    const run = new DeleteRun(twins.ports(), twins.volume(), BID, [])
    expect(await run.mark()).toBe(true)
    expect(twins.shards.get(0)).toMatchObject({ isMarked: true })
  })

  it('goes back to the mark where a shard was put behind it, at a unit that took nothing then', async () => {
    const twins = new Twins('Replica3')
    twins.lose(0)
    twins.locked.add(0)
    twins.onMarked = (index) => {
      if (index === 2) twins.write(0)
    }
    const first = await remove(twins)
    expect(first).toMatchObject({ stages: [0, 2, 2] })
    expect(await remove(twins, first.stages)).toMatchObject({ stages: [2, 2, 2], why: null })
    expect(twins.shards.size).toBe(0)
  })

  it('asks for the mapping when a disk is broken', async () => {
    const twins = new Twins('Replica3')
    twins.gone.add(1)
    expect(await remove(twins)).toMatchObject({ stages: [1, 0, 1], isMoved: true })
  })
})
