/** Puts that come behind the deletion of their blob, at the chunks of real disks: nothing of it can be read again. */
import { crc32 } from 'node:zlib'
import { expect, it } from 'vitest'
import { codeModeOf, vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import type { DiskFiles } from '../../../../../machines/storage/plane/disk-files/index.ts'
import { DeleteRun } from '../../../../../machines/storage/plane/upkeep/delete-run.ts'
import type { UpkeepPorts } from '../../../../../machines/storage/plane/upkeep/index.ts'
import { newDirectory, openDisk, statusOf } from '../disk-files/rig.ts'

const MODE = codeModeOf('Replica3')
const BID = 42n
const COPY = Buffer.from('a copy of the blob')
const vuid = (index: number) => vuidOf({ vid: 7, index, epoch: 1 })
const UNITS = [0, 1, 2].map((index) => {
  return { index, diskId: index + 1, address: 'http://127.0.0.1:1', vuid: vuid(index) }
})

async function openDisks(): Promise<DiskFiles[]> {
  const disks = []
  for (const { diskId, vuid: chunk } of UNITS) {
    const disk = await openDisk(newDirectory(), { diskId })
    await disk.createChunk(chunk, 2 ** 20)
    disks.push(disk)
  }
  return disks
}

/** As blobnodes: without what lies between. */
function deletionOn(disks: readonly DiskFiles[]): DeleteRun {
  const at = (diskId: number) => disks[diskId - 1] as DiskFiles
  const shards: Partial<UpkeepPorts['shards']> = {
    putShard: (unit, bid, bytes, { crc }) =>
      at(unit.diskId).putShard(unit.vuid, bid, bytes.length, bytes, crc),
    markDelete: (unit, bid) => at(unit.diskId).markDeleted(unit.vuid, bid),
    deleteShard: (unit, bid) => at(unit.diskId).deleteShard(unit.vuid, bid),
  }
  return new DeleteRun({ shards } as UpkeepPorts, { mode: MODE, units: UNITS }, BID, [])
}

const put = (disk: DiskFiles, index: number) =>
  disk.putShard(vuid(index), BID, COPY.length, COPY, crc32(COPY))

it.each(['marked', 'deleted'])(
  'a put that comes when nothing was found, and all is %s, is refused',
  async (phase) => {
    const disks = await openDisks()
    const run = deletionOn(disks)
    expect(await run.mark()).toBe(true)
    if (phase === 'deleted') expect(await run.delete()).toBe(true)
    for (const [index, disk] of disks.entries()) {
      expect(await statusOf(() => put(disk, index))).toBe(654)
      expect(await statusOf(() => disk.readShard(vuid(index), BID))).toBe(654)
    }
  },
)

it('the copy that one unit lacks is refused there, and the others go', async () => {
  const disks = await openDisks()
  const [first, second, late] = disks as [DiskFiles, DiskFiles, DiskFiles]
  await put(first, 0)
  await put(second, 1)
  const run = deletionOn(disks)
  expect([await run.mark(), await run.delete()]).toEqual([true, true])
  expect(await statusOf(() => put(late, 2))).toBe(654)
  for (const [index, disk] of disks.entries())
    expect(disk.listShards(vuid(index), { from: 0n, status: 0, count: 10 }).shards).toEqual([])
})

it('a deletion does not wait for a chunk that takes nothing: neither does it take the put', async () => {
  const disks = await openDisks()
  const [, , locked] = disks as [DiskFiles, DiskFiles, DiskFiles]
  await locked.setChunkStatus(vuid(2), 'readonly')
  expect(await deletionOn(disks).mark()).toBe(true)
  expect(await statusOf(() => put(locked, 2))).toBe(622)
  await locked.setChunkStatus(vuid(2), 'normal')
  // What came in between goes with the second phase.
  await put(locked, 2)
  const again = deletionOn(disks)
  expect([await again.mark(), await again.delete()]).toEqual([true, true])
  expect(await statusOf(() => locked.readShard(vuid(2), BID))).toBe(654)
})
