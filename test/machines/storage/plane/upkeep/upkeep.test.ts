/** Messages of upkeep as actors: what becomes of them over failures, repetitions and crashes. */
import { expect, it } from 'vitest'
import type { UpkeepPorts } from '../../../../../machines/storage/plane/upkeep/index.ts'
import { code } from '../../../../shard/support.ts'
import { BID, Twins } from './twins.ts'
import { REMOVAL, REPAIR, UpkeepRig } from './upkeep-rig.ts'

const MINUTE_MS = 60_000

/** The next call of one kind waits until it is let go. */
function held(ports: UpkeepPorts, call: 'getShard' | 'markDelete' | 'putShard') {
  const shards = ports.shards as unknown as Record<
    string,
    (...given: unknown[]) => Promise<unknown>
  >
  const plain = shards[call]!
  let letGo = () => {}
  let hasBegun = false
  const gate = new Promise<void>((resolve) => {
    letGo = resolve
  })
  shards[call] = async (...given) => {
    hasBegun = true
    await gate
    return plain(...given)
  }
  return { hasBegun: () => hasBegun, letGo: () => letGo() }
}

async function begun(rig: UpkeepRig, gate: { hasBegun(): boolean }): Promise<void> {
  for (let tries = 0; !gate.hasBegun(); tries += 1) {
    if (tries === 1_000) throw new Error('the task does not begin')
    await rig.h.advance(10)
  }
}

it('repairs a blob, says what was done, and is gone a day later', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const rig = new UpkeepRig(twins.ports())
  await rig.repair([2])
  const { view } = await rig.until(REPAIR, 'done')
  expect(view.context).toMatchObject({ bid: BID, end: 'repaired', repaired: [2], badIndexes: [] })
  expect(twins.isRight(2)).toBe(true)
  await rig.h.advance(25 * 60 * MINUTE_MS)
  expect(await code(rig.h, rig.h.client.get(REPAIR))).toBe('unknown-actor')
})

it('is one message however often it is asked for', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2, 4)
  for (const index of [0, 1, 3, 5]) twins.away.add(index)
  const rig = new UpkeepRig(twins.ports())
  await rig.repair([2], 'a reader')
  await rig.until(REPAIR, 'waiting')
  await rig.repair([4, 2], 'another reader')
  const { context } = await rig.view(REPAIR)
  expect(context).toMatchObject({ badIndexes: [2, 4], reason: 'another reader', tries: 1 })
  twins.away.clear()
  await rig.until(REPAIR, 'done')
  expect([twins.isRight(2), twins.isRight(4)]).toEqual([true, true])
})

it('looks again at what is asked for while it is at work', async () => {
  const twins = new Twins('EC6P3')
  const ports = twins.ports()
  twins.lose(2)
  const gate = held(ports, 'putShard')
  const rig = new UpkeepRig(ports)
  await rig.repair([2])
  await begun(rig, gate)
  twins.corrupt(5)
  await rig.repair([5])
  expect((await rig.view(REPAIR)).context).toMatchObject({ badIndexes: [2], askedMeanwhile: [5] })
  gate.letGo()
  const { view } = await rig.until(REPAIR, 'done')
  expect(view.context).toMatchObject({ repaired: [2, 5], askedMeanwhile: [] })
  expect(twins.isRight(5)).toBe(true)
})

it('repairs once more what goes bad again', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const rig = new UpkeepRig(twins.ports())
  await rig.repair([2])
  await rig.until(REPAIR, 'done')
  twins.corrupt(3)
  await rig.repair([3])
  await rig.until(REPAIR, 'done')
  expect(twins.isRight(3)).toBe(true)
})

it('waits longer and longer, says why and until when, and is never parked', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  twins.away.add(2)
  const rig = new UpkeepRig(twins.ports())
  await rig.repair([2])
  const { view } = await rig.until(REPAIR, 'punished')
  const { tries, lastError, waitMs, retryAt } = view.context as Record<string, never>
  expect({ tries, waitMs }).toEqual({ tries: 3, waitMs: 4 * MINUTE_MS })
  expect(lastError).toContain('unit 2 on disk 102')
  expect(retryAt).toBeGreaterThan(rig.h.clock.now())
  expect(retryAt).toBeLessThanOrEqual(rig.h.clock.now() + 4 * MINUTE_MS)
  await rig.h.advance(3 * 60 * MINUTE_MS)
  const later = await rig.view(REPAIR)
  expect(later).toMatchObject({ value: 'punished', context: { waitMs: 32 * MINUTE_MS } })
  expect(later.parked).toBeUndefined()
  twins.away.clear()
  const { tookMs } = await rig.until(REPAIR, 'done')
  expect(tookMs).toBeLessThan(33 * MINUTE_MS)
})

it('is tried now when somebody says so', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  twins.away.add(2)
  const rig = new UpkeepRig(twins.ports())
  await rig.repair([2])
  await rig.until(REPAIR, 'punished')
  twins.away.clear()
  await rig.h.run(rig.h.client.send(REPAIR, { type: 'RETRY' }))
  const { tookMs } = await rig.until(REPAIR, 'done')
  expect(tookMs).toBeLessThan(1_000)
})

it('is an orphan when too little is left, until somebody brings it back', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(0, 1, 2, 3)
  const rig = new UpkeepRig(twins.ports())
  await rig.repair([0])
  const { view } = await rig.until(REPAIR, 'orphan')
  expect(view.context).toMatchObject({ tries: 1, waitMs: 10 * MINUTE_MS })
  expect((view.context as { lastError: string }).lastError).toContain('too few')
  const listed = await rig.h.run(
    rig.h.client.list({ filter: { machine: 'shard-repair', state: 'orphan' } }),
  )
  expect(listed.rows.map(({ address }) => address)).toEqual([REPAIR])
  twins.write(0)
  await rig.until(REPAIR, 'done')
  expect(twins.indexes().every((index) => twins.isRight(index))).toBe(true)
})

it('waits where the node has not opened its store', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const rig = new UpkeepRig(undefined)
  await rig.repair([2])
  const { view } = await rig.until(REPAIR, 'waiting')
  expect((view.context as { lastError: string }).lastError).toContain('not opened its store yet')
  rig.openStore(twins.ports())
  await rig.until(REPAIR, 'done')
})

it('deletes what could not be reached, when it can be', async () => {
  const twins = new Twins('EC6P3')
  twins.away.add(8)
  const rig = new UpkeepRig(twins.ports())
  await rig.remove([0])
  const { view } = await rig.until(REMOVAL, 'waiting')
  expect(view.context).toMatchObject({ stages: [1, 1, 1, 1, 1, 1, 1, 1, 0], tries: 1 })
  await rig.remove([0, 1])
  expect((await rig.view(REMOVAL)).context).toMatchObject({ stages: [1, 1], tries: 1 })
  twins.away.clear()
  twins.lose(0, 1)
  await rig.until(REMOVAL, 'done')
  expect(twins.shards.size).toBe(0)
  await rig.h.advance(61 * MINUTE_MS)
  expect(await code(rig.h, rig.h.client.get(REMOVAL))).toBe('unknown-actor')
})

it('begins once more when it is asked for while it is at work', async () => {
  const twins = new Twins('Replica3')
  const ports = twins.ports()
  twins.away.add(0)
  const gate = held(ports, 'markDelete')
  const rig = new UpkeepRig(ports)
  await rig.remove()
  await begun(rig, gate)
  await rig.remove([0])
  gate.letGo()
  const { view } = await rig.until(REMOVAL, 'waiting')
  expect(view.context).toMatchObject({ stages: [1], askedMeanwhile: null, isMoved: true })
})

it('asks for a fresh mapping once a place was found to be gone', async () => {
  const twins = new Twins('Replica3')
  twins.gone.add(1)
  const rig = new UpkeepRig(twins.ports())
  await rig.remove()
  await rig.until(REMOVAL, 'waiting')
  expect(twins.freshViews).toBe(0)
  twins.gone.clear()
  await rig.until(REMOVAL, 'done')
  expect(twins.freshViews).toBe(1)
})

it('does not bring back what is being deleted', async () => {
  const twins = new Twins('Replica3')
  twins.lose(2)
  for (const index of twins.indexes()) twins.away.add(index)
  const rig = new UpkeepRig(twins.ports())
  await rig.remove()
  await rig.until(REMOVAL, 'punished')
  twins.away.clear()
  await rig.repair([2])
  const { view } = await rig.until(REPAIR, 'done')
  expect(view.context).toMatchObject({ end: 'deleted' })
  expect(twins.puts).toEqual([])
})

it.each(['putShard', 'getShard'] as const)(
  'goes on after a crash in the middle of %s',
  async (call) => {
    const twins = new Twins('EC6P3')
    const ports = twins.ports()
    twins.lose(2)
    const gate = held(ports, call)
    const rig = new UpkeepRig(ports)
    await rig.repair([2])
    await begun(rig, gate)
    rig.crash()
    gate.letGo()
    const { view } = await rig.until(REPAIR, 'done')
    expect(['repaired', 'whole']).toContain((view.context as { end: string }).end)
    expect(twins.isRight(2)).toBe(true)
  },
)
