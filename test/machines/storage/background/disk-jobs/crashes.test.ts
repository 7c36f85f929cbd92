/**
 * Disks that are emptied over kills of the node behind each single call, and over calls that fail or whose answers are
 * lost: every unit moves once, none is left, and the disk is what it was to be.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Fate } from '../store-world.ts'
import { JobSim } from './job-sim.ts'

const KINDS = ['drop', 'repair'] as const
type Kind = (typeof KINDS)[number]
const ENDS = { drop: 'dropped', repair: 'repaired' } as const

const VOLUMES = 3
/** More calls than a job of so many volumes makes. */
const CALLS_MAX = 40

async function begun(): Promise<JobSim> {
  const sim = await JobSim.create({ taskLimitPerDisk: 2 })
  for (let vid = 1; vid <= VOLUMES; vid++) await sim.world.volume(vid, [1, 2, 3])
  return sim
}

async function order(sim: JobSim, kind: Kind): Promise<void> {
  if (kind === 'drop') await sim.drop(1)
  else await sim.breakDisk(1)
}

async function expectEmptied(sim: JobSim, kind: Kind): Promise<void> {
  const { standing, units } = await sim.h.run(sim.world.disks.record(1))
  expect(standing).toBe(ENDS[kind])
  expect(units).toEqual({})
  for (let vid = 1; vid <= VOLUMES; vid++) {
    expect(sim.world.record(vid).units[0]).toMatchObject({ epoch: 2, diskId: 8 })
  }
  // None was moved twice, and none is still being moved by a job that has forgotten it.
  expect(sim.world.finished).toHaveLength(VOLUMES)
  expect(await sim.world.live()).toEqual([])
  const { lines } = await sim.context<{ lines: Record<string, unknown[]> }>('disk-watch/main')
  expect(lines).toEqual({ disk_drop: [], disk_repair: [] })
}

it.each(KINDS)(
  '%s: a node that is killed behind each single call finishes what it began',
  async (kind) => {
    let kills = 0
    for (let killAt = 1; killAt <= CALLS_MAX; killAt++) {
      const sim = await begun()
      let calls = 0
      let isDying = false
      sim.world.fate = () => {
        calls += 1
        isDying ||= calls === killAt
        return 'done'
      }
      await order(sim, kind)
      const each = async () => {
        sim.stepMs = calls < killAt || isDying ? 4 : 100
        if (!isDying) return
        isDying = false
        kills += 1
        sim.crash()
      }
      await sim.drive(`disk-${kind}/1`, { each })
      await expectEmptied(sim, kind)
      if (calls < killAt) break
    }
    expect(kills).toBeGreaterThan(10)
  },
  120_000,
)

const times = fc.array(fc.integer({ min: 1, max: 3_000 }), { maxLength: 5 })
const fates = fc.infiniteStream(
  fc.constantFrom<Fate>('done', 'done', 'done', 'done', 'fails', 'lost'),
) as fc.Arbitrary<Iterator<Fate>>

it.each(KINDS)(
  '%s: nothing is lost nor done twice by kills and failures at any time',
  async (kind) => {
    await fc.assert(
      fc.asyncProperty(times, fates, async (kills, stream) => {
        const sim = await begun()
        sim.world.fate = () => stream.next().value
        await order(sim, kind)
        for (const ms of kills) {
          await sim.h.advance(ms)
          const [first] = await sim.world.live()
          if (first !== undefined) await sim.world.finish(first, 8)
          sim.crash()
        }
        await sim.h.advance(2_000)
        sim.world.fate = () => 'done'
        sim.stepMs = 200
        await sim.drive(`disk-${kind}/1`)
        await expectEmptied(sim, kind)
      }),
      { numRuns: 10 },
    )
  },
  120_000,
)
