/**
 * What a thread asks the worker's pool for before a stage runs. Pure.
 *
 * Decides: the names (`stage.<stage>`, `child.<stage>.<n>`, `lock.<name>`), their limits and the least
 * time between two grants. Locks come in one order for all children; the pool grants all of an option or
 * nothing. Leaves to others: granting (the platform's pool), what runs (`processors.ts`).
 */
import { TroupeError } from '../../../src/index.ts'
import { laneName, type ProcessorConfig, type ProcessorsConfig } from './settings.ts'

/** The pool takes so many options; more children than that are asked for as one. */
const OPTIONS_MAX = 16
/** The pool takes so many names in one option: the stage, the child and its locks. */
const LOCKS_MAX = 6

/** `[processors.limitation]` and `[processors.ext_locks]`. */
export interface StageLimits {
  /** Runs of a stage at once. */
  concurrent: Readonly<Record<string, number>>
  /** Least time between two starts of a stage, in ms. */
  staggered: Readonly<Record<string, number>>
  /** Locks that children share, such as one GPU, with their number. */
  extLocks: Readonly<Record<string, number>>
}

export interface GateNames {
  /** By stage: what would do for it. A stage with nothing to limit is not in it. */
  choices: Record<string, string[][]>
  limits: Record<string, number>
  gaps: Record<string, number>
  /** Locks that children name and `ext_locks` does not: one holder at a time is assumed. */
  assumedLocks: string[]
}

/** @throws TroupeError `invalid-config` for what the pool could not be asked for */
export function gateNames(config: ProcessorsConfig, stageLimits: StageLimits): GateNames {
  const { concurrent, staggered, extLocks } = stageLimits
  const names: GateNames = { choices: {}, limits: {}, gaps: {}, assumedLocks: [] }
  for (const [lock, count] of Object.entries(extLocks)) names.limits[`lock.${lock}`] = count
  const stages = new Set([
    ...Object.keys(config),
    ...Object.keys(concurrent),
    ...Object.keys(staggered),
  ])
  for (const stage of [...stages].sort()) {
    const children = config[stage] ?? []
    const stageGate = `stage.${stage}`
    const most = concurrent[stage]
    const gapMs = staggered[stage] ?? 0
    if (most !== undefined) names.limits[stageGate] = most
    if (gapMs > 0) names.gaps[stageGate] = gapMs
    if (children.length > 0) addChildren(names, stage, children)
    else if (most !== undefined || gapMs > 0) names.choices[stage] = [[stageGate]]
  }
  return names
}

function addChildren(names: GateNames, stage: string, children: readonly ProcessorConfig[]): void {
  if (children.length > OPTIONS_MAX) return addCrowd(names, stage, children)
  names.choices[stage] = children.map((child, index) => {
    const lane = laneName(stage, index)
    const locks = [...new Set(child.locks)].sort()
    if (locks.length > LOCKS_MAX) {
      const why = `${lane} has ${locks.length} locks, at most ${LOCKS_MAX}: use fewer [processors.ext_locks]`
      throw new TroupeError('invalid-config', why)
    }
    names.limits[lane] = child.concurrent
    for (const lock of locks) assume(names, lock)
    return [`stage.${stage}`, lane, ...locks.map((lock) => `lock.${lock}`)]
  })
}

/** All children as one name with all of their places; which one works is chosen when it starts. */
function addCrowd(names: GateNames, stage: string, children: readonly ProcessorConfig[]): void {
  if (children.some((child) => child.locks.length > 0)) {
    const why = `${children.length} children of ${stage} have locks, at most ${OPTIONS_MAX} may: use fewer children with a higher "concurrent"`
    throw new TroupeError('invalid-config', why)
  }
  const crowd = `children.${stage}`
  names.limits[crowd] = children.reduce((places, child) => places + child.concurrent, 0)
  names.choices[stage] = [[`stage.${stage}`, crowd]]
}

function assume(names: GateNames, lock: string): void {
  if (Object.hasOwn(names.limits, `lock.${lock}`)) return
  names.limits[`lock.${lock}`] = 1
  names.assumedLocks.push(lock)
}
