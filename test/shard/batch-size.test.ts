/** Whatever actors and operators do, a batch fits one slot of the journal. */
import { expect, it } from 'vitest'
import type { StoreWrite } from '../../src/ports/index.ts'
import { encodeRecord } from '../../src/shard/slot-records.ts'
import { bulk, mix } from './bulk.ts'
import { Nodes } from './journaled-nodes.ts'
import { open } from './support.ts'

/** Bytes of the largest record that a slot would hold of what is committed from now on. */
function watch(h: ReturnType<typeof open>): { largest: number } {
  const seen = { largest: 0 }
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) => {
    seen.largest = Math.max(seen.largest, recordBytes(transaction.writes))
    write(transaction)
  }
  return seen
}

function recordBytes(writes: readonly StoreWrite[]): number {
  const epoch = { slot: 1_000_000, claimId: 'x'.repeat(24) }
  const [prev, serverId, batchId] = ['x'.repeat(16), 'x'.repeat(56), 'x'.repeat(24)]
  return encodeRecord({ kind: 'batch', prev, serverId, epoch, batchId, writes }).length
}

const SEEDS = [1, 2, 3, 4]
const LIMITS = { dedupeWindowMs: 120_000, clockSkewMaxMs: 60_000, requestTimeoutMs: 30_000 }

it.each(SEEDS)('no mix of large things makes a batch too large: seed %i', async (seed) => {
  const h = open([bulk], { shardCount: 2, limits: LIMITS, seed })
  const batches = watch(h)
  const told = await mix(
    { client: h.client, run: (w) => h.run(w), advance: (ms) => h.advance(ms) },
    seed,
    150,
  )
  expect(h.stops).toEqual([])
  expect([...told]).toEqual(expect.arrayContaining(['ok', 'too-large', 'parked']))
  expect(batches.largest).toBeLessThanOrEqual(h.limits.batchBytesMax)
  expect(batches.largest).toBeGreaterThan(h.limits.turnBytesMax / 2)
})

it('nor stops a shard whose journal takes no more than that', async () => {
  const nodes = new Nodes({ machines: [bulk], limits: LIMITS })
  const recordBytesMax = nodes.limits.batchBytesMax
  const a = await nodes.owner('a', { commit: { recordBytesMax } })
  const place = {
    client: a.client,
    run: <T>(work: Promise<T>) => nodes.run(work),
    advance: (ms: number) => nodes.settle(ms),
  }
  await mix(place, 5, 60)
  expect(a.stops).toEqual([])
  expect(a.opened).toBe('serves')
})
