/** Records of several processes become one list, and what does not fit together is found. */
import { describe, expect, it } from 'vitest'
import { hashBytes } from '../../../src/protocol/index.ts'
import { encodeRecord, GENESIS_HASH } from '../../../src/shard/slot-records.ts'
import { oneWriter } from '../../simulation/checkers/one-writer.ts'
import { gather, journalsKeepAll, type Loss } from './gather.ts'
import type { SlotRead } from './journal-reader.ts'
import type { Recorded } from './recorded.ts'

const PLACE = { serverId: 's', claimId: 'c', viewVersion: 1 }

/** A claim of shard 0, as the message of its slot. */
function claim(slot: number, node: string, prev = GENESIS_HASH): SlotRead {
  const bytes = Buffer.from(encodeRecord({ kind: 'claim', prev, node, ...PLACE }))
  return { shard: 0, slot, sequence: slot, hash: hashBytes(bytes), bytes }
}

function began(at: number, node: string, { slot, hash, bytes }: SlotRead): Recorded {
  const record = bytes.toString('base64')
  return { kind: 'write-began', at, node, shard: 0, slot, hash, record }
}

function seen(at: number, node: string, { slot, hash, sequence }: SlotRead): Recorded {
  return { kind: 'slot-seen', at, node, shard: 0, slot, hash, sequence }
}

const first = claim(1, 'n1')
const second = claim(2, 'n2', first.hash)
const rival = claim(2, 'n3', first.hash)

/** Kind, node and slot of what there is. */
function told(recorded: Recorded[], slots: SlotRead[], losses: Loss[] = []): string[] {
  return gather({ recorded, slots, losses }).map((event) => {
    const {
      kind,
      node = '',
      slot = event.kind === 'slots-lost' ? event.lastSlot : '',
    } = event as typeof event & { node?: string; slot?: number }
    return [kind, node, slot].filter((word) => word !== '').join(' ')
  })
}

describe('slots', () => {
  it('stand where their writes began, whenever they were seen', () => {
    const recorded = [
      ...[seen(9, 'n2', first), seen(8, 'n2', second)],
      ...[began(2, 'n2', second), began(1, 'n1', first)],
    ]
    expect(told(recorded, [first, second])).toEqual([
      ...['slot n1 1', 'slot n2 2', 'slot-known n2 2', 'slot-known n2 1'],
    ])
  })

  it('that were tried in vain at first stand where they were tried again', () => {
    const recorded = [
      ...[began(1, 'n2', second), began(2, 'n1', first), seen(3, 'n1', first)],
      ...[began(4, 'n2', second), seen(5, 'n2', second), began(6, 'n2', second)],
    ]
    expect(told(recorded, [first, second])).toEqual([
      ...['slot n1 1', 'slot-known n1 1', 'slot n2 2', 'slot-known n2 2'],
    ])
  })

  it('are told of when nobody saw them but who reads them back', () => {
    expect(told([began(1, 'n1', first)], [first])).toEqual(['slot n1 1'])
  })

  it('are not told of when their write never landed', () => {
    const recorded = [began(1, 'n1', first), began(2, 'n2', second), began(3, 'n3', rival)]
    expect(told(recorded, [first, second])).toEqual(['slot n1 1', 'slot n2 2'])
  })

  it('are told of again when they were lost and written anew', () => {
    const recorded = [
      ...[began(1, 'n1', first), seen(2, 'n1', first)],
      ...[began(5, 'n2', first), seen(6, 'n2', first)],
    ]
    const losses = [{ at: 4, ends: [{ shard: 0, lastSlot: 0 }] }]
    expect(told(recorded, [first], losses)).toEqual([
      ...['slot n1 1', 'slot-known n1 1', 'slots-lost 0', 'slot n2 1', 'slot-known n2 1'],
    ])
  })

  it('that stand twice in a journal are two', () => {
    const recorded = [began(1, 'n1', first), began(2, 'n2', second), began(3, 'n3', rival)]
    const slots = [first, second, { ...rival, sequence: 3 }]
    const events = gather({ recorded, slots, losses: [] })
    expect(oneWriter(events).map(({ what }) => what)).toContain(
      'n3 wrote slot 2, the next one was 3',
    )
  })
})

it('a slot that was seen and is in no journal is missed, unless it was removed', () => {
  const recorded = [began(1, 'n1', first), seen(2, 'n1', first)]
  const lost = journalsKeepAll(gather({ recorded, slots: [], losses: [] }), [])
  expect(lost.map(({ checker }) => checker)).toEqual(['journals-keep-all'])
  const removed: Recorded = { kind: 'slots-removed', at: 3, node: 'n1', shard: 0, to: 1 }
  const events = gather({ recorded: [...recorded, removed], slots: [], losses: [] })
  expect(journalsKeepAll(events, [])).toEqual([])
})
