/**
 * A volume over crashes of its node, lost answers and disks that fail, by the clock of a simulation: nothing
 * is leaked, whatever is cut off wherever, and no epoch is given twice.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { vuidOf, vuidParts } from '../../../../../machines/storage/plane/codes/index.ts'
import type { Chunk, VolumeRecord } from '../../../../../machines/storage/plane/volumes/index.ts'
import { READY_KEPT_MS, VID, VolumeSim } from './volume-sim.ts'

const DISKS = 12
const calm = ({ fittings, retired }: VolumeRecord) =>
  retired.every(({ isDue }) => !isDue) &&
  Object.values(fittings).every(({ step }) => step === 'ready')

const keyOf = ({ index, epoch, diskId }: Chunk) => `${diskId}/${vuidOf({ vid: VID, index, epoch })}`

/** Chunks that the record knows of. */
function chunksOf({ units, fittings, retired }: VolumeRecord): string[] {
  const ready = Object.entries(fittings).map(([index, one]) => ({ ...one, index: Number(index) }))
  return [...units, ...ready, ...retired].map(keyOf).sort()
}

async function expectNoLeak(sim: VolumeSim): Promise<void> {
  sim.fate = () => 'done'
  const record = await sim.until(calm)
  expect(await sim.ledger(DISKS)).toEqual(chunksOf(record))
  expect([...sim.chunks.keys()].sort()).toEqual(chunksOf(record))
  // No vuid was ever on two disks.
  const vuids = [...sim.made].map((key) => key.slice(key.indexOf('/') + 1))
  expect(new Set(vuids).size).toBe(vuids.length)
}

const kills = fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 5 })
const fates = fc.infiniteStream(
  fc.constantFrom('done', 'done', 'done', 'done', 'fails', 'lost', 615, 613),
) as fc.Arbitrary<Iterator<ReturnType<VolumeSim['fate']>>>

it('is made whole in the end, and leaks nothing on the way', async () => {
  await fc.assert(
    fc.asyncProperty(kills, fates, async (times, stream) => {
      const sim = new VolumeSim()
      await sim.farm(DISKS, 6)
      await sim.begin('EC6P3')
      sim.fate = () => stream.next().value
      for (const ms of times) {
        await sim.h.advance(ms)
        sim.crash()
      }
      await sim.h.advance(2_000)
      sim.fate = () => 'done'
      const { units } = await sim.until(({ standing }) => standing === 'idle')
      expect(new Set(units.map(({ diskId }) => diskId)).size).toBe(9)
      await expectNoLeak(sim)
    }),
    { numRuns: 15 },
  )
})

it('is locked whole again after it was unlocked by force while its chunks were being locked', async () => {
  const sim = new VolumeSim()
  await sim.farm(3, 3)
  await sim.begin('Replica3OneAZ')
  await sim.until(({ standing }) => standing === 'idle')
  sim.callMs = 500
  await sim.ask({ type: 'LOCK' })
  await sim.ask({ type: 'UNLOCK' })
  await sim.ask({ type: 'UNLOCK', force: true })
  expect(await sim.record()).toMatchObject({ standing: 'idle', isSet: true })
  await sim.h.advance(5_000)
  for (const key of sim.chunks.keys()) sim.chunks.set(key, 'normal')
  await sim.ask({ type: 'LOCK' })
  await sim.until(({ isSet }) => isSet)
  expect([...sim.chunks.values()]).toEqual(['readonly', 'readonly', 'readonly'])
})

type Step = 'alloc' | 'update' | 'release' | 'lock' | 'unlock'
const steps = fc.array(
  fc.record({
    step: fc.constantFrom<Step>('alloc', 'alloc', 'update', 'release', 'lock', 'unlock'),
    index: fc.nat({ max: 2 }),
    waitMs: fc.nat({ max: 400 }),
    isKilled: fc.boolean(),
    isExcluding: fc.boolean(),
  }),
  { minLength: 3, maxLength: 14 },
)

it('moves units under crashes and failures, and leaks nothing', async () => {
  await fc.assert(
    fc.asyncProperty(steps, fates, async (todo, stream) => {
      const sim = new VolumeSim()
      await sim.farm(DISKS, 6)
      await sim.begin('Replica3OneAZ')
      await sim.until(({ standing }) => standing === 'idle')
      sim.fate = () => stream.next().value
      for (const { step, index, waitMs, isKilled, isExcluding } of todo) {
        const record = await sim.record()
        await sim.ask(eventOf(record, { step, index, isExcluding }))
        await sim.h.advance(waitMs)
        if (isKilled) sim.crash()
        const { units } = await sim.record()
        expect(new Set(units.map(({ diskId }) => diskId)).size).toBe(3)
      }
      await expectNoLeak(sim)
    }),
    { numRuns: 25 },
  )
})

function eventOf(
  record: VolumeRecord,
  { step, index, isExcluding }: { step: Step; index: number; isExcluding: boolean },
): { type: string; [field: string]: unknown } {
  const unit = record.units[index] as Chunk
  const fitting = record.fittings[index]
  const vuid = vuidOf({ vid: VID, index, epoch: unit.epoch })
  const epoch = fitting?.epoch || unit.epoch + 1
  const newVuid = vuidOf({ vid: VID, index, epoch })
  const excludes = isExcluding && fitting?.diskId ? [fitting.diskId] : []
  switch (step) {
    case 'alloc':
      return { type: 'ALLOC_UNIT', vuid, excludes }
    case 'update':
      return { type: 'UPDATE_UNIT', newVuid, oldVuid: vuid, newDiskId: fitting?.diskId || 1, at: 1 }
    case 'release': {
      const [old] = record.retired
      const chunk = old ?? { index, epoch, diskId: fitting?.diskId || 1 }
      return { type: 'RELEASE_UNIT', vuid: vuidOf({ vid: VID, ...chunk }), diskId: chunk.diskId }
    }
    default:
      return { type: step.toUpperCase() }
  }
}

it('a node that is killed behind each single call finishes what it began', async () => {
  for (let killAt = 1; killAt <= 12; killAt++) {
    const sim = new VolumeSim()
    await sim.farm(DISKS, 6)
    await sim.begin('Replica3OneAZ')
    await sim.until(({ standing }) => standing === 'idle')
    let calls = 0
    let isDead = false
    const killed = () => {
      calls += 1
      isDead ||= calls === killAt
      return 'done' as const
    }
    sim.fate = killed
    const surviving = async (work: () => Promise<unknown>, is: (now: VolumeRecord) => boolean) => {
      await work()
      for (let waited = 0; waited < 400 && !is(await sim.record()); waited++) {
        // Once it was killed, the lease of what it did has to be over.
        await sim.h.advance(calls < killAt || isDead ? 5 : 500)
        if (isDead) sim.crash()
        isDead = false
      }
      expect(is(await sim.record())).toBe(true)
    }
    const [old] = (await sim.record()).units
    if (!old) throw new Error('it has no unit')
    const oldVuid = vuidOf({ vid: VID, index: 0, epoch: old.epoch })
    await surviving(
      () => sim.ask({ type: 'LOCK' }),
      ({ isSet }) => isSet,
    )
    await surviving(
      () => sim.ask({ type: 'ALLOC_UNIT', vuid: oldVuid, excludes: [] }),
      ({ fittings }) => fittings[0]?.step === 'ready',
    )
    const { epoch = 0, diskId = 0 } = (await sim.record()).fittings[0] ?? {}
    const newVuid = vuidOf({ vid: VID, index: 0, epoch })
    const swap = { type: 'UPDATE_UNIT', newVuid, oldVuid, newDiskId: diskId, at: 1 }
    expect(await sim.ask(swap)).toMatchObject({ ok: true })
    expect(await sim.ask(swap)).toMatchObject({ ok: true })
    await surviving(
      () => sim.ask({ type: 'RELEASE_UNIT', vuid: oldVuid, diskId: old.diskId }),
      ({ retired }) => retired.length === 0,
    )
    await surviving(
      () => sim.ask({ type: 'UNLOCK' }),
      ({ standing }) => standing === 'idle',
    )
    await expectNoLeak(sim)
    expect([...sim.chunks.values()]).toEqual(['normal', 'normal', 'normal'])
    expect(vuidParts(newVuid)).toEqual({ vid: VID, index: 0, epoch: 2 })
  }
})

it('a chunk that was replaced is released in time by itself', async () => {
  const sim = new VolumeSim()
  await sim.farm(DISKS, 6)
  await sim.begin('Replica3OneAZ')
  const { units } = await sim.until(({ standing }) => standing === 'idle')
  const oldVuid = vuidOf({ vid: VID, index: 1, epoch: 1 })
  await sim.ask({ type: 'ALLOC_UNIT', vuid: oldVuid, excludes: [] })
  const { fittings } = await sim.until((now) => now.fittings[1]?.step === 'ready')
  const newVuid = vuidOf({ vid: VID, index: 1, epoch: 2 })
  const newDiskId = fittings[1]?.diskId ?? 0
  await sim.ask({ type: 'UPDATE_UNIT', newVuid, oldVuid, newDiskId, at: 1 })
  await sim.h.advance(30_000)
  const old = `${units[1]?.diskId}/${oldVuid}`
  expect(sim.chunks.has(old)).toBe(true)
  await sim.until(({ retired }) => retired.length === 0)
  expect(sim.chunks.has(old)).toBe(false)
  await expectNoLeak(sim)
})

it('a chunk whose file is damaged is released all the same', async () => {
  const sim = new VolumeSim()
  await sim.farm(DISKS, 6)
  await sim.begin('Replica3OneAZ')
  await sim.until(({ standing }) => standing === 'idle')
  const vuid = vuidOf({ vid: VID, index: 1, epoch: 1 })
  await sim.ask({ type: 'ALLOC_UNIT', vuid, excludes: [] })
  const { fittings } = await sim.until((now) => now.fittings[1]?.step === 'ready')
  sim.fate = (verb) => (verb === 'readonly' ? 658 : 'done')
  const [diskId, fresh] = [fittings[1]?.diskId, vuidOf({ vid: VID, index: 1, epoch: 2 })]
  await sim.ask({ type: 'RELEASE_UNIT', vuid: fresh, diskId })
  await sim.until(({ retired }) => retired.length === 0)
  await expectNoLeak(sim)
})

it('a chunk that is ready and nobody uses goes by itself, and stays for whoever asks for it again', async () => {
  const sim = new VolumeSim()
  await sim.farm(DISKS, 6)
  await sim.begin('Replica3OneAZ')
  await sim.until(({ standing }) => standing === 'idle')
  const vuid = vuidOf({ vid: VID, index: 1, epoch: 1 })
  const alloc = () => sim.ask({ type: 'ALLOC_UNIT', vuid, excludes: [] })
  await alloc()
  await sim.until(({ fittings }) => fittings[1]?.step === 'ready')
  await sim.h.advance(READY_KEPT_MS - 60_000)
  await alloc()
  sim.crash()
  await sim.h.advance(READY_KEPT_MS - 60_000)
  expect((await sim.record()).fittings[1]).toMatchObject({ step: 'ready', epoch: 2 })
  await sim.h.advance(120_000)
  const { units, fittings } = await sim.until(({ retired }) => retired.length === 0)
  expect(fittings).toEqual({})
  expect(units).toHaveLength(3)
  await expectNoLeak(sim)
})
