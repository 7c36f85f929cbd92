/** Chunks that cannot be used at all: a worker tells of them, and their units are made anew, but not again and again. */
import { expect, it } from 'vitest'
import { inspectionAddress } from '../../../../../machines/storage/background/inspect/index.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { TroupeError } from '../../../../../src/protocol/index.ts'
import { get } from '../../../../shard/support.ts'
import { InspectRig } from './inspect-rig.ts'

const HOUR_MS = 3_600_000
const unit = (index: number) => vuidOf({ vid: 7, index, epoch: 1 })

/** One pass in which a worker finds these. */
async function pass(rig: InspectRig, ...indexes: number[]): Promise<void> {
  await rig.h.advance(HOUR_MS)
  const { task_id = '' } = (await rig.acquire()) ?? {}
  const told = { unusable_units: indexes.map(unit), troubles: ['unit 2 on disk 3: no such chunk'] }
  expect(await rig.report(task_id, { ...told, lost_cnt: 1 })).toEqual({ ok: true })
  await rig.h.advance(100)
}

async function begun(said: number | 'unavailable', ...indexes: number[]): Promise<InspectRig> {
  const rig = new InspectRig({ triesMax: 1 })
  await rig.begin([7])
  for (const index of indexes) rig.chunks.set(index, said)
  return rig
}

const kept = async (rig: InspectRig) => (await get(rig.h, inspectionAddress(7))).context

it.each([621, 623, 624, 658])(
  'a unit whose chunk is refused with %i is repaired elsewhere',
  async (said) => {
    const rig = await begun(said, 2)
    await pass(rig, 2)
    const order = { type: 'disk_repair', sourceVuid: unit(2), sourceDiskId: 3, sourceIdc: 'z' }
    const reason = 'an inspection found that its chunk cannot be used: as the test wants it'
    expect(rig.moves).toEqual([{ ...order, priority: 0, reason }])
    // The others are inspected as well as can be.
    expect((await rig.record()).pass).toMatchObject({ inspected: 1, lost: 1, setAside: 0 })
    expect(await kept(rig)).toMatchObject({ error: null, lost: 1, remakes: [{ index: 2 }] })
  },
)

it('of a volume that has lost more the moves come first', async () => {
  const rig = await begun(658, 0, 2)
  await pass(rig, 0, 2)
  expect(rig.moves).toMatchObject([
    { sourceVuid: unit(0), priority: 1 },
    { sourceVuid: unit(2), priority: 1 },
  ])
})

it('for that counts what lies on broken disks, and of what a worker tells only what is proven', async () => {
  const broken = await begun(658, 2)
  broken.brokenDisks.add(1)
  await pass(broken, 2)
  expect(broken.moves).toMatchObject([{ sourceVuid: unit(2), priority: 1 }])
  const unproven = await begun(658, 2)
  unproven.chunks.set(0, 'unavailable')
  await pass(unproven, 0, 1, 2, 2)
  expect(unproven.moves).toMatchObject([{ sourceVuid: unit(2), priority: 0 }])
})

it('one that has moved since, or answers again, is inspected again, and what was lost is not believed', async () => {
  for (const hasMoved of [true, false]) {
    const rig = await begun(621)
    if (hasMoved) rig.moved.add(2)
    await pass(rig, 2)
    expect(rig.moves).toEqual([])
    const why = hasMoved ? 'unit 2 has moved' : 'unit 2 on disk 3 answers again'
    expect(await rig.record()).toMatchObject({ pass: { lost: 0 }, setAside: [{ vid: 7, why }] })
    expect(await kept(rig)).toMatchObject({ error: why, lost: 0, remakes: [] })
  }
})

it('nothing is begun for one that nobody can ask, or that is moved already', async () => {
  const away = await begun('unavailable', 2)
  await pass(away, 2)
  expect(away.moves).toEqual([])
  expect(await kept(away)).toMatchObject({ error: null, remakes: [] })
  const taken = await begun(658, 2)
  taken.isMoving = true
  for (let count = 1; count <= 4; count++) await pass(taken, 2)
  expect(await kept(taken)).toMatchObject({
    ...{ error: null, remakes: [] },
    troubles: ['unit 2 on disk 3: as the test wants it', expect.anything()],
  })
})

it('thrice in a day a unit is made anew, and then a person is told', async () => {
  const rig = await begun(658, 2)
  for (let count = 1; count <= 5; count++) await pass(rig, 2)
  expect(rig.moves).toHaveLength(3)
  expect(await kept(rig)).toMatchObject({
    troubles: [expect.stringContaining('made anew 3 times within a day'), expect.anything()],
  })
  // Another one has its own count; and the next day has another.
  rig.chunks.set(1, 621)
  await pass(rig, 1)
  expect(rig.moves).toHaveLength(4)
  await rig.h.advance(24 * HOUR_MS)
  await pass(rig, 2)
  expect(rig.moves).toHaveLength(5)
})

it('a move that was begun counts, although whoever began it was cut off before it could say so', async () => {
  const rig = await begun(658, 2)
  rig.onMove = () => {
    throw new TroupeError('no-answer', 'as the test wants it')
  }
  await expect(pass(rig, 2)).rejects.toMatchObject({ code: 'no-answer' })
  expect(await kept(rig)).toMatchObject({ remakes: [{ index: 2 }] })
  rig.crash()
  expect(await kept(rig)).toMatchObject({ remakes: [{ index: 2 }] })
  // The next worker finds it again: it is moved by now.
  rig.isMoving = true
  await pass(rig, 2)
  expect(await kept(rig)).toMatchObject({ lost: 1, remakes: [{ index: 2 }] })
})

it('what was made anew is still known behind a pass in which all was well', async () => {
  const rig = await begun(658, 2)
  await pass(rig, 2)
  await pass(rig)
  expect(await kept(rig)).toMatchObject({ remakes: [{ index: 2 }] })
})
