/** The bytes of slot records: they stand in journals, so their form is for ever. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack } from '../../src/protocol/index.ts'
import {
  decodeRecord,
  encodeRecord,
  GENESIS_HASH,
  type SlotRecord,
} from '../../src/shard/slot-records.ts'

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

describe('a slot record', () => {
  it('comes back as it was, from its own bytes alone', () => {
    fc.assert(
      fc.property(record, (value) => {
        const once = encodeRecord(value)
        expect(decodeRecord(once)).toEqual(value)
        expect(Buffer.from(encodeRecord(decodeRecord(once)))).toEqual(Buffer.from(once))
      }),
    )
  })

  it('shares no bytes with what it was read from', () => {
    const value: SlotRecord = {
      kind: 'batch',
      prev: GENESIS_HASH,
      serverId: 's',
      epoch: { slot: 1, claimId: 'c' },
      batchId: 'b',
      writes: [[Buffer.from('key'), Buffer.from('value')]],
    }
    const packed = encodeRecord(value)
    const read = decodeRecord(packed)
    packed.fill(0)
    expect(read).toEqual(value)
  })

  it.each([
    ['of another form', pack([2, 'c', GENESIS_HASH])],
    ['of another kind', pack([1, 'z', GENESIS_HASH])],
    ['that is no list', pack({ kind: 'claim' })],
    ['that is a number', pack(1)],
    ['of no pack at all', Uint8Array.of(0xc1)],
    ['without bytes', new Uint8Array()],
  ])('%s is refused', (_what, packed) => {
    expect(() => decodeRecord(packed)).toThrow(expect.objectContaining({ code: 'malformed' }))
  })
})
