/** What a node reads of a shard when it comes: all there is when it is new, and what it has missed when not. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { ClusterPorts } from '../../src/node/join.ts'
import { shardOf } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'
import { ClusterRig, LIMITS, type RigNode, SHARDS } from './cluster-rig.ts'
import { counters } from './counters.ts'

const ADDRESS = 'counter/1'
const SHARD = shardOf(ADDRESS, SHARDS)
const CHECKPOINT_SLOTS = 40
/** Claims and releases stand in slots of their own, and the newest slot is read to compare. */
const OTHER_SLOTS_MAX = 8

let rig: ClusterRig

beforeEach(() => {
  rig = new ClusterRig([counters], {
    ...LIMITS,
    checkpointSlots: CHECKPOINT_SLOTS,
    checkpointLookMs: 40,
    journalRetentionMs: 80,
    journalSlotsMin: 10,
  })
})

afterEach(() => rig.close())

async function write(at: RigNode, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    await at.node.client.send(ADDRESS, { type: 'NOTE', text: String(n) }, { timeoutMs: 15_000 })
  }
}

/** The slots of the shard that a node reads, in the life that begins with these ports. */
function counting(slots: Set<number>): (ports: ClusterPorts) => ClusterPorts {
  return (ports) => {
    const { journal } = ports
    const read: typeof journal.read = (shard, slot, done) => {
      journal.read(shard, slot, (outcome) => {
        if (shard === SHARD && outcome.kind === 'found') slots.add(slot)
        done(outcome)
      })
    }
    return { ...ports, journal: Object.assign(Object.create(journal), { read }) }
  }
}

const first = () => rig.journal.slots(SHARD)[0]!.slot
const last = () => rig.journal.slots(SHARD).at(-1)!.slot
const has = async (node: RigNode, count: number) => {
  await rig.settled()
  const { context } = await node.node.client.get(ADDRESS)
  expect((context as { seen: string[] }).seen).toHaveLength(count)
}

it('a new one loads a checkpoint, one that was there before reads what it has missed', async () => {
  const a = await rig.start('a')
  await a.node.client.start(ADDRESS)
  await write(a, 4 * CHECKPOINT_SLOTS)
  await until(() => first() > CHECKPOINT_SLOTS, { timeoutMs: 10_000 }, 'old slots are removed')

  const read = new Set<number>()
  const b = await rig.start('b', {}, counting(read))
  await has(b, 4 * CHECKPOINT_SLOTS)
  const loads = () =>
    b.said('a checkpoint is loaded').filter(({ fields }) => fields['shard'] === SHARD)
  expect(loads()).toHaveLength(1)
  const { slot } = loads()[0]!.fields as { slot: number }
  expect([...read].filter((one) => one < slot)).toEqual([])

  await b.stop()
  const missedFrom = last() + 1
  await write(a, 5)
  const missed = new Set<number>()
  await b.start({}, counting(missed))
  await has(b, 4 * CHECKPOINT_SLOTS + 5)
  expect(loads()).toHaveLength(1)
  expect(missed.size).toBeGreaterThanOrEqual(5)
  expect(missed.size).toBeLessThan(5 + OTHER_SLOTS_MAX)
  expect(Math.min(...missed)).toBeGreaterThanOrEqual(missedFrom - OTHER_SLOTS_MAX)
})
