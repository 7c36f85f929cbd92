/** What a node knows of volumes: of which units a chunk is all there is. */
import { expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import {
  newVolume,
  type VolumeRecord,
} from '../../../../../machines/storage/plane/volumes/volume-record.ts'
import { settledOf } from '../../../../../machines/storage/plane/volumes/volume-views.ts'

const VID = 7
const facts = { vid: VID, mode: 1, chunkBytesMax: 1, retiredKeptMs: 0, readyKeptMs: 1, at: 0 }
const vuid = (index: number, epoch: number) => vuidOf({ vid: VID, index, epoch })
const VOLUME: VolumeRecord = {
  ...newVolume(facts, 3),
  ...{ standing: 'idle', fittings: {} },
  units: [0, 1, 2].map((index) => ({ index, epoch: 2, diskId: index + 1 })),
}
const MARKED = [vuid(0, 2), vuid(1, 2), vuid(2, 2)]

it('chunks in their place are settled, and those that are not there any more, or never were, are not', () => {
  expect(settledOf(VOLUME, MARKED)).toEqual(new Set([0, 1, 2]))
  expect(settledOf(VOLUME, [vuid(0, 1), vuid(1, 3), vuid(2, 2)])).toEqual(new Set([2]))
})

it.each(['wanted', 'chosen', 'ready'] as const)(
  'a unit whose next chunk is %s is not: the shard may be there already',
  (step) => {
    const fittings = { 1: { step, epoch: 3, diskId: 4, excludes: [], mover: null } }
    expect(settledOf({ ...VOLUME, fittings }, MARKED)).toEqual(new Set([0, 2]))
  },
)

it('nor is one whose last chunk is still on a disk: who has an older mapping reads there', () => {
  const retired = [{ index: 2, epoch: 1, diskId: 4, isDue: true }]
  expect(settledOf({ ...VOLUME, retired }, MARKED)).toEqual(new Set([0, 1]))
})

it('a move that waits for its turn, or for a person, has made nothing yet', () => {
  const moves = { 0: { mover: 'balance-1-7-x', at: 1, turn: 1 } }
  expect(settledOf({ ...VOLUME, moves }, MARKED)).toEqual(new Set([0, 1, 2]))
})
