/** The bytes of slot records: they stand in journals, so their form is for ever. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack } from '../../src/protocol/index.ts'
import { encodeRun } from '../../src/shard/row-run.ts'
import { encodeRecord, GENESIS_HASH, type SlotRecord } from '../../src/shard/slot-records.ts'
import { brokenChain } from '../../src/shard/tail.ts'
import { decodeRecord } from './slot-record.ts'

const name = fc.string({ maxLength: 12 })
const epoch = fc.record({ slot: fc.nat(), claimId: name })
const bytes = fc.uint8Array({ maxLength: 20 }).map((value) => Buffer.from(value))
const writes = fc.array(fc.tuple(bytes, fc.option(bytes)), { maxLength: 5 })

const record = fc.oneof(
  fc.record({
    kind: fc.constant('claim' as const),
    prev: name,
    serverId: name,
    node: name,
    claimId: name,
    viewVersion: fc.nat(),
  }),
  fc.record({
    kind: fc.constant('batch' as const),
    prev: name,
    serverId: name,
    epoch,
    batchId: name,
    writes,
  }),
  fc.record({ kind: fc.constant('release' as const), prev: name, serverId: name, epoch, to: name }),
) as fc.Arbitrary<SlotRecord>

/** Keys and values are bytes, in whatever they came. */
function plain(of: SlotRecord): unknown {
  if (of.kind !== 'batch') return of
  return { ...of, writes: of.writes.map(([key, value]) => [[...key], value && [...value]]) }
}

describe('a slot record', () => {
  it('comes back as it was, from its own bytes alone', () => {
    fc.assert(
      fc.property(record, (value) => {
        const once = encodeRecord(value)
        expect(plain(decodeRecord(once))).toEqual(plain(value))
        expect(Buffer.from(encodeRecord(decodeRecord(once)))).toEqual(Buffer.from(once))
      }),
    )
  })

  it.each([
    ['of another form', encodeRun([1, 'c', GENESIS_HASH], [])],
    ['of another kind', encodeRun([2, 'z', GENESIS_HASH], [])],
    ['that is a pack', pack([2, 'c', GENESIS_HASH])],
    ['of no pack at all', Uint8Array.of(1, 0, 0xc1)],
    ['without bytes', new Uint8Array()],
  ])('%s is refused', (_what, packed) => {
    expect(() => decodeRecord(packed)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })

  it('of the first form, which was one pack, is told from damage', () => {
    const first = pack([1, 'c', GENESIS_HASH, 'a', 'node', 'claim', 1])
    expect(() => decodeRecord(first)).toThrow('form 1; this version reads 2')
    const why = brokenChain({ slot: 0, hash: GENESIS_HASH }, [first])
    expect(why).toContain('slot 1 holds a record that this version cannot read')
    expect(why).toContain('form 1; this version reads 2')
  })
})
