/** Which records a journal is given back that lost its end. */
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../src/protocol/index.ts'
import { type Kept, lostChain } from '../../src/shard/lost-chain.ts'
import { encodeRecord, GENESIS_HASH } from '../../src/shard/slot-records.ts'
import type { TailRow } from '../../src/shard/tail.ts'

const SERVER = 'before'

function claim(before: TailRow | undefined, node: string, serverId = SERVER): TailRow {
  const prev = before ? hashBytes(before.bytes) : GENESIS_HASH
  const bytes = encodeRecord({
    ...{ kind: 'claim', prev, serverId, node, claimId: `${node}-claim`, viewVersion: 1 },
  })
  return { slot: (before?.slot ?? 0) + 1, bytes }
}

function batch(before: TailRow, epochSlot: number, batchId: string): TailRow {
  const prev = hashBytes(before.bytes)
  const epoch = { slot: epochSlot, claimId: 'x' }
  const bytes = encodeRecord({
    ...{ kind: 'batch', prev, serverId: SERVER, epoch, batchId, writes: [] },
  })
  return { slot: before.slot + 1, bytes }
}

const one = claim(undefined, 'a')
const two = batch(one, 1, 'two')
const three = batch(two, 1, 'three')
const four = batch(three, 1, 'four')

function given(members: Kept[], last: TailRow = one, serverId = 'after'): TailRow[] {
  return lostChain(members, { slot: last.slot, hash: hashBytes(last.bytes), serverId })
}

describe('the lost end of a journal', () => {
  it('is put together from what several members kept', () => {
    // Whoever began with a checkpoint has nothing from before it.
    const early = { applied: 2, rows: [one, two] }
    const late = { applied: 4, rows: [three, four] }
    expect(given([late, early])).toEqual([two, three, four])
    expect(given([early])).toEqual([two])
    expect(given([late])).toEqual([])
  })

  it('ends with the highest epoch, then with the highest slot', () => {
    const other = claim(one, 'b')
    const short = { applied: 2, rows: [one, other] }
    const long = { applied: 4, rows: [two, three, four] }
    expect(given([long, short]), 'a later claim had everything before it').toEqual([other])
    expect(given([{ applied: 2, rows: [two] }, long])).toEqual([two, three, four])
    const twin = batch(three, 1, 'twin')
    expect(given([long, { applied: 4, rows: [twin] }]), 'the first of equals').toEqual([
      ...[two, three, four],
    ])
  })

  it('has no gap, and joins what is left', () => {
    expect(given([{ applied: 4, rows: [two, four] }])).toEqual([two])
    const foreign = claim(undefined, 'z')
    expect(given([{ applied: 4, rows: [batch(foreign, 1, 'x'), three] }])).toEqual([])
    expect(given([{ applied: 4, rows: [one, two, three] }], two)).toEqual([three])
    expect(given([{ applied: 2, rows: [{ slot: 2, bytes: Uint8Array.of(0xc1) }] }])).toEqual([])
  })

  it('is nothing that only the present copy of the stream was sent', () => {
    const row = { applied: 1, rows: [two] }
    expect(given([row], one, SERVER), 'it was never acknowledged').toEqual([])
    expect(given([{ applied: 2, rows: [two] }], one, SERVER), 'it was').toEqual([two])
    expect(given([row])).toEqual([two])
  })
})
