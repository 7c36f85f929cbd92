/** A repair as an actor: who comes first, units that move under it, its switch, kills between any two of its steps. */
import { expect, it } from 'vitest'
import type { UpkeepPorts } from '../../../../../machines/storage/plane/upkeep/index.ts'
import { hangAt } from './hanging.ts'
import { Twins } from './twins.ts'
import { REPAIR, UpkeepRig } from './upkeep-rig.ts'

it('takes blobs that lack more than one shard before others', async () => {
  const twins = new Twins('EC6P3')
  const ports = twins.ports()
  let letGo = () => {}
  const gate = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const begun: bigint[] = []
  const statShard: UpkeepPorts['shards']['statShard'] = async (at, bid, options) => {
    if (!begun.includes(bid)) begun.push(bid)
    await gate
    return ports.shards.statShard(at, bid, options)
  }
  const rig = new UpkeepRig({ ...ports, shards: { ...ports.shards, statShard } })
  for (const bid of [1n, 2n, 3n, 4n]) await rig.repair([2], 'it fills the node', bid)
  await rig.h.advance(1_000)
  expect(begun).toHaveLength(4)
  for (const bid of [5n, 6n, 7n]) await rig.repair([2], 'one', bid)
  await rig.repair([2, 4], 'two', 8n)
  await rig.h.advance(1_000)
  letGo()
  for (const bid of [5n, 6n, 7n, 8n]) await rig.until(`shard-repair/7-${bid}`, 'done')
  expect(begun[4]).toBe(8n)
  expect(begun).toHaveLength(8)
})

it('repairs a unit where it is when it moved meanwhile', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  twins.onPut = (index) => {
    twins.onPut = () => {}
    twins.move(index, { isCopied: false })
  }
  const rig = new UpkeepRig(twins.ports())
  await rig.repair([2])
  const { view } = await rig.until(REPAIR, 'done')
  expect(view.context).toMatchObject({ repaired: [2], end: 'repaired', tries: 0 })
  expect(twins.puts).toEqual([2, 2])
  expect(twins.isRight(2)).toBe(true)
})

it('fails, and tries later, where units move again and again', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const ports = twins.ports()
  const vuids = () => {
    twins.move(2)
    return ports.volumes.vuids(7)
  }
  const rig = new UpkeepRig({ ...ports, volumes: { ...ports.volumes, vuids } })
  await rig.repair([2])
  const { view } = await rig.until(REPAIR, 'waiting')
  expect(view.context).toMatchObject({
    ...{ lastError: expect.stringContaining('move again and again'), badIndexes: [2] },
  })
  rig.openStore(ports)
  await rig.until(REPAIR, 'done')
})

it('tries again in a pool of its own, and a new message is not kept waiting by those', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const ports = twins.ports()
  let areHanging = false
  const statShard: UpkeepPorts['shards']['statShard'] = async (at, bid, options) => {
    if (bid < 100n && areHanging) await new Promise(() => {})
    if (bid < 100n) throw new Error('a fault of the code: the attempt fails, too')
    return ports.shards.statShard(at, bid, options)
  }
  const away = { ...ports.shards, statShard }
  twins.away.add(2)
  const rig = new UpkeepRig(ports)
  const bids = Array.from({ length: 12 }, (_, n) => BigInt(n + 1))
  for (const bid of bids) await rig.repair([2], 'a test', bid)
  for (const bid of bids) await rig.until(`shard-repair/7-${bid}`, 'punished')
  areHanging = true
  rig.openStore({ ...ports, shards: away })
  for (const bid of bids)
    await rig.h.run(rig.h.client.send(`shard-repair/7-${bid}`, { type: 'RETRY' }))
  await rig.h.advance(1_000)
  expect((await rig.view('shard-repair/7-12')).value).toBe('retrying')
  twins.away.clear()
  await rig.repair([2], 'new', 100n)
  const { tookMs } = await rig.until('shard-repair/7-100', 'done')
  expect(tookMs).toBeLessThan(2_000)
})

it('does nothing while it is switched off, and knows then what a killed try may have put', async () => {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const { hanging, calls } = hangAt(twins.ports(), 'putShard')
  const rig = new UpkeepRig(hanging)
  await rig.openCounters()
  await rig.repair([2])
  while (!calls.hasHung) await rig.h.advance(10)
  twins.off.add('shard_repair')
  await rig.switch('shard_repair', false)
  rig.crash()
  const { view } = await rig.until(REPAIR, 'held')
  expect(view.context).toMatchObject({
    ...{ badIndexes: [2], inDoubt: [2], waitsFor: 'shard_repair is switched off' },
  })
  twins.off.clear()
  await rig.switch('shard_repair', true)
  const { view: done } = await rig.until(REPAIR, 'done')
  expect(done.context).toMatchObject({ inDoubt: [], badIndexes: [] })
  expect(twins.isRight(2)).toBe(true)
})

async function repairedWith(crashAt: number): Promise<number> {
  const twins = new Twins('EC6P3')
  twins.lose(2)
  const { hanging, calls } = hangAt(twins.ports(), crashAt)
  const rig = new UpkeepRig(hanging)
  await rig.openCounters()
  await rig.repair([2])
  for (let steps = 0; (await rig.view(REPAIR)).value !== 'done'; steps += 1) {
    if (steps === 10_000) throw new Error(`it does not end after a kill at call ${crashAt}`)
    if (calls.hasHung) {
      calls.hasHung = false
      rig.crash()
    }
    await rig.h.advance(500)
  }
  expect(twins.indexes().every((index) => twins.isRight(index))).toBe(true)
  await rig.h.advance(1_000)
  expect(await rig.counters('shard_repair')).toMatchObject({ successCount: 1, errorCount: 0 })
  return calls.count
}

it('ends as it should, and is counted once, wherever its node is killed', async () => {
  const calls = await repairedWith(0)
  expect(calls).toBeGreaterThanOrEqual(20)
  for (let at = 1; at <= calls; at += 1) await repairedWith(at)
})
