/** What can be rebuilt from what: against a plain closure over the codes of a mode, and local first. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  azOfUnit,
  CODE_MODES,
  type CodeMode,
  codeModeOf,
  localStripes,
  unitCount,
} from '../../../../../machines/storage/plane/codes/index.ts'
import { canRebuild, rebuildSources } from '../../../../../machines/storage/plane/erasure/index.ts'
import { rebuildPlan } from '../../../../../machines/storage/plane/erasure/rebuild-plan.ts'
import { closureOf, unitsOf } from './losses.ts'

describe.each(CODE_MODES.map((mode) => [mode.name, mode] as const))('%s', (_, mode) => {
  const subset = fc.subarray(unitsOf(mode))

  it('rebuilds what follows from what is there, and nothing else', () => {
    fc.assert(
      fc.property(subset, subset, (present, wanted) => {
        const known = closureOf(mode, present)
        expect(canRebuild(mode, present, wanted)).toBe(wanted.every((unit) => known.has(unit)))
      }),
    )
  })

  it('reads in each step what is there by then, and only as much as it needs', () => {
    fc.assert(
      fc.property(subset, subset, (present, wanted) => {
        const plan = rebuildPlan(mode, present, wanted)
        const known = new Set(present)
        for (const step of plan ?? []) {
          const sources = step.kind === 'copy' ? [step.source] : step.sources
          expect(sources.filter((unit) => !known.has(unit))).toEqual([])
          if (step.kind === 'code') expect(sources).toHaveLength(step.data.length)
          for (const unit of step.wanted) {
            expect(known.has(unit)).toBe(false)
            known.add(unit)
          }
        }
        if (plan) expect(wanted.filter((unit) => !known.has(unit))).toEqual([])
        const sources = rebuildSources(mode, present, wanted)
        expect(sources === undefined).toBe(plan === undefined)
        if (sources) expect(canRebuild(mode, sources, withoutThose(wanted, present))).toBe(true)
      }),
    )
  })
})

function withoutThose(units: readonly number[], others: readonly number[]): number[] {
  return units.filter((unit) => !others.includes(unit))
}

const LOCAL = CODE_MODES.filter(({ local }) => local > 0).map((mode) => [mode.name, mode] as const)

it.each(LOCAL)('%s: one lost unit is rebuilt within its AZ', (_, mode: CodeMode) => {
  for (const lost of unitsOf(mode)) {
    const present = withoutThose(unitsOf(mode), [lost])
    const sources = rebuildSources(mode, present, [lost])!
    const shardsPerAz = (mode.data + mode.parity) / mode.azs
    expect(sources).toHaveLength(shardsPerAz)
    expect(new Set(sources.map((unit) => azOfUnit(mode, unit)))).toEqual(
      new Set([azOfUnit(mode, lost)]),
    )
  }
})

it('goes over the whole blob only for what its AZ cannot do', () => {
  const mode = codeModeOf('EC6P3L3')
  // Of AZ 0 (0, 1, 6, local 9) two are lost, of AZ 1 (2, 3, 7, local 10) one.
  const present = withoutThose(unitsOf(mode), [0, 6, 3])
  expect(rebuildPlan(mode, present, [0, 3])).toMatchObject([
    { sources: [2, 7, 10], wanted: [3] },
    { sources: [1, 2, 3, 4, 5, 7], wanted: [0] },
  ])
})

it('takes local parity to have enough for the whole blob', () => {
  const mode = codeModeOf('EC6P3L3')
  const lost = [0, 1, 6, 2]
  expect(canRebuild(mode, withoutThose(unitsOf(mode), [...lost, 10]), [0])).toBe(false)
  expect(rebuildPlan(mode, withoutThose(unitsOf(mode), lost), [0])).toMatchObject([
    { sources: [3, 7, 10], wanted: [2] },
    { sources: [2, 3, 4, 5, 7, 8], wanted: [0] },
  ])
})

it('makes local parity of its stripe, and first what the stripe lacks', () => {
  const mode = codeModeOf('EC6P3L3')
  const [stripe] = localStripes(mode)
  const present = withoutThose(unitsOf(mode), [...stripe!.locals, stripe!.units[2]!])
  expect(rebuildPlan(mode, present, stripe!.locals)).toMatchObject([
    { wanted: [6] },
    { sources: stripe!.units, wanted: stripe!.locals },
  ])
})

it('has nothing to do where nothing is missing, and nothing to do it with where nothing is there', () => {
  for (const mode of CODE_MODES) {
    expect(rebuildPlan(mode, [1], [1])).toEqual([])
    expect(rebuildPlan(mode, [], [])).toEqual([])
    expect(rebuildSources(mode, [], [unitCount(mode) - 1])).toBeUndefined()
  }
})
