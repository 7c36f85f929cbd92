/** A chunk that cannot be used while its disk works: it stands in the way of nothing that is done for its volume. */
import { afterEach, beforeEach, expect, it } from 'vitest'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import type { VolumeRecord } from '../../../../../machines/storage/plane/volumes/index.ts'
import { PlaneRig } from '../plane-rig.ts'

let rig: PlaneRig
let volume: VolumeRecord
beforeEach(async () => {
  rig = await PlaneRig.create()
  await rig.registerAll({ azs: 1, hosts: 4, disks: 1 })
  volume = await rig.made('Replica3OneAZ')
})
afterEach(() => rig.close())

const oldVuid = () => vuidOf({ vid: volume.vid, index: 0, epoch: 1 })

/** What its blobnode says of the chunk of unit 0; `lost`: nothing. */
function spoil(said: number | 'lost'): void {
  const spoiled = oldVuid().toString()
  rig.blobnodes.behaviour = ({ verb, vuid }) =>
    vuid === spoiled && verb !== 'release' ? said : undefined
  // Its release is forced.
  const chunk = rig.blobnodes.chunks.get(`${volume.units[0]?.diskId}/${spoiled}`)
  if (chunk) chunk.status = 'readonly'
}

async function swap(): Promise<void> {
  const { vuid: newVuid, diskId: newDiskId } = await rig.parts.calls.allocUnit(oldVuid())
  await rig.parts.calls.updateUnit({ newVuid, oldVuid: oldVuid(), newDiskId })
}

it.each([621, 623, 624, 658])(
  'its unit is swapped without a lock where it is refused with %i, and the old one goes',
  async (status) => {
    spoil(status)
    await swap()
    await rig.parts.calls.releaseUnit(oldVuid(), volume.units[0]?.diskId ?? 0)
    const { units } = await rig.stands(volume.vid, ({ retired }) => retired.length === 0)
    expect(units[0]).toMatchObject({ index: 0, epoch: 2 })
    expect(await rig.ledger()).toHaveLength(3)
  },
)

it('a unit whose chunk can be used is swapped under a lock only', async () => {
  await expect(swap()).rejects.toMatchObject({ status: 926 })
  await rig.parts.calls.lock(volume.vid)
  await swap()
})

it.each([
  ['is busy', 604, { status: 604, code: 'busy' }],
  ['does not answer', 'lost', { code: 'unavailable' }],
] as const)(
  'of a chunk that %s nobody knows whether it can be written to: its unit stays, until it is locked',
  async (_, said, why) => {
    spoil(said)
    await expect(swap()).rejects.toMatchObject(why)
    expect((await rig.stands(volume.vid, () => true)).units[0]).toMatchObject({ epoch: 1 })
    await rig.parts.calls.lock(volume.vid)
    await swap()
  },
)

it('a swap that is told again, or is none, looks at no disk', async () => {
  const { calls } = rig.parts
  const { vuid: newVuid, diskId: newDiskId } = await calls.allocUnit(oldVuid())
  const other = volume.units[1]?.diskId ?? 0
  const wrong = calls.updateUnit({ newVuid, oldVuid: oldVuid(), newDiskId: other })
  await expect(wrong).rejects.toMatchObject({ status: 920 })
  expect(rig.blobnodes.count('stat')).toBe(0)
  spoil(621)
  await calls.updateUnit({ newVuid, oldVuid: oldVuid(), newDiskId })
  expect(rig.blobnodes.count('stat')).toBe(2)
  await calls.updateUnit({ newVuid, oldVuid: oldVuid(), newDiskId })
  expect(rig.blobnodes.count('stat')).toBe(2)
})

it('a volume that has one is locked and unlocked all the same', async () => {
  spoil(658)
  await rig.parts.calls.lock(volume.vid)
  await rig.stands(volume.vid, ({ standing, isSet }) => standing === 'lock' && isSet)
  await rig.parts.calls.unlock(volume.vid)
  await rig.stands(volume.vid, ({ standing, isSet }) => standing === 'idle' && isSet)
})
