/** Which volumes a node writes to: by `Volumes` on a real node, with blobnodes that fail and disks that fall silent. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { codeModeOf, vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'
import { PlaneRig } from '../plane-rig.ts'

const PATIENT = { timeoutMs: 20_000 }
const MODE = codeModeOf('Replica3OneAZ')
const GIB = 2 ** 30
const TIMES = { heartbeatMs: 100, heartbeatLossMs: 60_000, retainMs: 600_000, activePerMode: 2 }
let rig: PlaneRig
beforeEach(async () => {
  rig = await PlaneRig.create({ plane: { ...TIMES, chunkBytesMax: GIB, bidsPerRange: 10 } })
  await rig.registerAll({ azs: 1, hosts: 4, disks: 2 })
})
afterEach(() => rig.close())

const active = async () => {
  const { body } = await rig.get('/storage/volumes?status=active')
  return (body.volumes as { vid: number }[]).map(({ vid }) => vid)
}
const write = (bytes = 1) => rig.parts.volumes.writable(MODE, { bytes })

it('writes spread over several, which are made in the background', async () => {
  const first = await write()
  expect(first).toMatchObject({ status: 'active', mode: MODE, freeBytes: GIB })
  expect(first.units.every(({ isUp }) => isUp)).toBe(true)
  await until(async () => (await active()).length === 2, PATIENT, 'a second volume')
  const vids = [await write(), await write(), await write(), await write()].map(({ vid }) => vid)
  expect(vids.filter((vid) => vid === first.vid)).toHaveLength(2)
  const avoid = new Set(await active())
  const other = await rig.parts.volumes.writable(MODE, { bytes: 1, avoid })
  expect(avoid.has(other.vid)).toBe(false)
})

it('concurrent ones make one volume, not many', async () => {
  const views = await Promise.all(Array.from({ length: 20 }, () => write()))
  expect(new Set(views.map(({ vid }) => vid)).size).toBe(1)
})

it('are given back at the end, and taken again instead of making others', async () => {
  const { vid } = await write()
  rig.parts.volumes.wrote(vid, GIB / 2)
  await until(async () => (await active()).length === 2, PATIENT, 'a second volume')
  await rig.stop()
  await rig.start()
  expect(await active()).toEqual([])
  expect(await rig.volume(vid)).toMatchObject({ standing: 'idle', holder: null })
  expect((await rig.volume(vid)).chunkBytesUsed).toBeGreaterThanOrEqual(GIB / 2)
  await write()
  expect((await rig.get('/storage/volumes')).body.volumes).toHaveLength(2)
})

it('one that is nearly full is replaced before it is full', async () => {
  const { vid } = await write()
  rig.parts.volumes.wrote(vid, GIB - 2 ** 20)
  await until(async () => !(await active()).includes(vid), PATIENT, 'the full one to be given back')
  expect((await write()).vid).not.toBe(vid)
})

it('one that a node was killed over is measured, whatever its record says', async () => {
  const { vid, units, chunkBytesUsed } = await rig.made('Replica3OneAZ')
  expect(chunkBytesUsed).toBe(0)
  for (const { index, epoch, diskId } of units) {
    const chunk = rig.blobnodes.chunks.get(`${diskId}/${vuidOf({ vid, index, epoch })}`)
    if (chunk) chunk.used = GIB - 2 ** 20
  }
  expect((await write()).vid).not.toBe(vid)
})

it('who wants to lock one is refused, and gets it soon', async () => {
  const { vid } = await write()
  const lock = () => rig.post(`/storage/volumes/${vid}/lock`)
  expect((await lock()).body).toMatchObject({
    status: 902,
    error: expect.stringContaining('n1 until'),
  })
  await until(async () => (await lock()).status === 200, PATIENT, 'the volume to be given back')
  expect((await write()).vid).not.toBe(vid)
})

it('one that is given back for a mover is left to it: who writes takes another one meanwhile', async () => {
  const { vid, units } = await write()
  const { client } = rig.node
  const claim = { mover: 'disk_drop-1-1-x', turn: 1 }
  const vuid = units[0]?.vuid ?? 0n
  for (const type of ['ADD_MOVE', 'CLAIM_MOVE']) {
    await client.ask(`volume/${vid}`, { type, vuid, ...claim, at: Date.now() })
  }
  const lock = () => rig.parts.calls.lock(vid, { claim })
  await expect(lock()).rejects.toMatchObject({ status: 902 })
  await rig.stands(vid, ({ standing }) => standing === 'idle')
  const isReplaced = async () => {
    await write()
    return (await active()).length === 2
  }
  await until(isReplaced, PATIENT, 'another volume in its place')
  expect(await active()).not.toContain(vid)
  expect(await lock()).toMatchObject({ standing: 'lock' })
})

describe('a unit that failed', () => {
  it('counts as away until it is found well; without its quorum nothing is written', async () => {
    const { vid } = await write()
    const all = new Set(await active())
    let isDown = true
    rig.blobnodes.behaviour = ({ verb }) => (isDown && verb === 'stat' ? 604 : undefined)
    for (const one of all) rig.parts.volumes.failed(one, 1)
    const other = await write()
    expect(all.has(other.vid)).toBe(false)
    rig.parts.volumes.failed(other.vid, 0)
    isDown = false
    const seen = async () => {
      const vids = [await write(), await write(), await write(), await write()]
      return vids.some((one) => one.vid === vid)
    }
    await until(seen, PATIENT, 'the volume to be written to again')
  })

  it('whose chunk was left read-only by a call that came late is set writable', async () => {
    const { vid, units } = await write()
    const key = `${units[2]?.diskId}/${units[2]?.vuid}`
    const chunk = rig.blobnodes.chunks.get(key)
    if (!chunk) throw new Error('there is no such chunk')
    chunk.status = 'readonly'
    rig.parts.volumes.failed(vid, 2)
    await until(() => chunk.status === 'normal', PATIENT, 'the chunk to be writable')
  })
})

it('where disks are away, it says what is lacking', async () => {
  for (let disk = 1; disk <= 6; disk++) await rig.beat(disk, { broken: 'EIO' })
  await expect(write()).rejects.toMatchObject({
    status: 801,
    message: expect.stringContaining('needs 3 disks that can take a chunk: 2 of 8 can (6 broken)'),
  })
})

it('numbers of blobs are given once, over ranges and restarts', async () => {
  const seen = new Set<bigint>()
  const take = async (count: number) => {
    const first = await rig.parts.volumes.nextBids(count)
    for (let n = 0; n < count; n++) {
      expect(seen.has(first + BigInt(n))).toBe(false)
      seen.add(first + BigInt(n))
    }
  }
  await Promise.all([3, 1, 4, 1, 5, 100, 2].map(take))
  await rig.stop()
  await rig.start()
  await Promise.all([2, 6, 1].map(take))
  expect(seen.size).toBe(125)
})
