/** What a disk tells of itself: that it is to be emptied, and that it is empty. */
import { expect, it } from 'vitest'
import { newsOf } from '../../../../../machines/storage/plane/disks/disk-news.ts'
import {
  type DiskRecord,
  type DiskStanding,
  newDisk,
} from '../../../../../machines/storage/plane/disks/disk-record.ts'

const PLACE = {
  ...{ uuid: '00000000-0000-4000-8000-000000000001', address: 'http://b', path: '/d' },
  ...{ host: 'h', rack: 'r', idc: 'z', via: 'n', quietMs: 1, at: 0 },
}
const USAGE = { sizeBytes: 1, freeBytes: 1, usedBytes: 0, chunks: 0, chunksMax: 9, unitsMax: 9 }

function disk(standing: DiskStanding, units = 0): DiskRecord {
  const lines = Array.from({ length: units }, (_, n) => [String(n), { bytesMax: 1, at: 0 }])
  return {
    ...newDisk({ diskId: 7, ...PLACE, ...USAGE }),
    ...{ standing, units: Object.fromEntries(lines) },
  }
}

it.each([
  ['readonly', 'dropping'],
  ['writable', 'broken'],
  ['dropping', 'broken'],
  ['broken', 'repairing'],
] as const)('from %s to %s is news', (before, now) => {
  const news = { diskId: 7, standing: now, units: 2 }
  expect(newsOf(disk(before, 2), disk(now, 2))).toEqual(news)
})

it.each(['dropping', 'broken', 'repairing'] as const)(
  'the last unit that leaves a disk that is %s is news',
  (standing) => {
    expect(newsOf(disk(standing, 2), disk(standing, 1))).toBeUndefined()
    expect(newsOf(disk(standing, 1), disk(standing))).toEqual({ diskId: 7, standing, units: 0 })
    expect(newsOf(disk(standing), disk(standing))).toBeUndefined()
  },
)

it.each([
  ['writable', 'readonly'],
  ['writable', 'writable'],
  ['dropping', 'dropped'],
  ['repairing', 'repaired'],
] as const)('from %s to %s is none', (before, now) => {
  expect(newsOf(disk(before, 1), disk(now))).toBeUndefined()
})
