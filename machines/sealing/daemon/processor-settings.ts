/**
 * The section `[processors]`. Decides: defaults of children, that the old form of the limits counts as the
 * new one, and that a limit or a lock that nothing can mean is a mistake. Leaves to others: everything a
 * child process does (`processors`), the pool that holds the limits.
 */
import { resolve } from 'node:path'
import { TroupeError } from '../../../src/index.ts'
import { type ProcessorConfig, processorConfig } from '../processors/index.ts'
import { nearestOf, pathText } from './unknown-keys.ts'
import { CHILD_STAGES, type ChildKeys, type WorkerToml } from './worker-toml.ts'

export interface ProcessorsConfig {
  children: Record<string, ProcessorConfig[]>
  /** By stage: how many steps of it at a time. */
  concurrent: Record<string, number>
  /** By stage: the least gap between two starts. */
  staggeredMs: Record<string, number>
  /** By name: how many may hold it. */
  extLocks: Record<string, number>
  /** By sector size: a file with the tree of a sector without deals. */
  staticTreeD: Record<string, string>
}

/** Stages that the worker does itself can be limited too. */
const LIMITED_STAGES: readonly string[] = [...CHILD_STAGES, 'c1', 'synth_proof']
/** Shorter gaps were ignored by the old workers, too. */
const STAGGERED_MS_MIN = 1_000

/** @throws TroupeError `invalid-config` */
export function processorsOf(
  given: WorkerToml['processors'],
  warnings: string[],
): ProcessorsConfig {
  const {
    limit,
    limitation = {},
    ext_locks: extLocks = {},
    static_tree_d: trees = {},
  } = given ?? {}
  const concurrent = { ...limit, ...limitation.concurrent }
  const staggered = { ...limitation.staggered }
  checkStages('processors.limit', Object.keys(limit ?? {}), warnings)
  checkStages('processors.limitation.concurrent', Object.keys(concurrent), warnings)
  checkStages('processors.limitation.staggered', Object.keys(staggered), warnings)
  for (const [stage, gapMs] of Object.entries(staggered)) {
    if (gapMs >= STAGGERED_MS_MIN) continue
    warnings.push(`processors.limitation.staggered.${stage}: less than a second; it is left out`)
    delete staggered[stage]
  }
  const children: Record<string, ProcessorConfig[]> = {}
  for (const stage of CHILD_STAGES) {
    const list = given?.[stage] ?? []
    for (const [at, { locks = [] }] of list.entries()) {
      checkLocks(`processors.${stage}[${at}].locks`, locks, Object.keys(extLocks), warnings)
    }
    if (list.length > 0) children[stage] = list.map((one, at) => childOf(one, stage, at))
  }
  const staticTreeD = Object.entries(trees).map(([size, path]) => [size, resolve(path)])
  return {
    ...{ children, concurrent, extLocks, staggeredMs: staggered },
    staticTreeD: Object.fromEntries(staticTreeD),
  }
}

function checkStages(path: string, stages: readonly string[], warnings: string[]): void {
  for (const stage of stages) {
    if (LIMITED_STAGES.includes(stage)) continue
    const near = nearestOf(stage, LIMITED_STAGES)
    const why = `${path}.${stage}: there is no such stage`
    if (near !== undefined)
      throw new TroupeError('invalid-config', `${why}; did you mean "${near}"?`)
    if (!warnings.some((one) => one.startsWith(why))) warnings.push(`${why}; it limits nothing`)
  }
}

function checkLocks(
  path: string,
  locks: readonly string[],
  known: readonly string[],
  warnings: string[],
): void {
  for (const lock of locks) {
    if (known.includes(lock)) continue
    const near = nearestOf(lock, known)
    const why = `${path}: processors.ext_locks has no "${lock}"`
    if (near !== undefined)
      throw new TroupeError('invalid-config', `${why}; did you mean "${near}"?`)
    warnings.push(`${why}; one holder at a time is assumed`)
  }
}

function childOf(keys: ChildKeys, stage: string, index: number): ProcessorConfig {
  const { bin, args = [], cgroup } = keys
  const own = bin === undefined ? ownProcessor(stage) : { bin, args: [] }
  const { data, error } = processorConfig.safeParse({
    bin: own.bin,
    args: [...own.args, ...args],
    stableWaitMs: keys.stable_wait,
    concurrent: keys.concurrent,
    locks: keys.locks,
    envs: keys.envs,
    inheritEnvs: keys.inherit_envs,
    autoRestart: keys.auto_restart,
    numaPreferred: keys.numa_preferred,
    // A group without cores of its own confines nothing.
    cgroup: cgroup?.cpuset === undefined ? null : cgroupOf(cgroup.cpuset, cgroup.group_name),
    timeoutMs: keys.timeout,
  })
  if (data !== undefined) return data
  const [issue] = error.issues
  const where = `processors.${stage}[${index}].${pathText(issue?.path ?? [])}`
  throw new TroupeError('invalid-config', `${where}: ${issue?.message ?? 'cannot be used'}`)
}

function cgroupOf(cpuset: string, groupName: string | undefined) {
  return { cpuset, groupName: groupName ?? null }
}

/** A child without a command is this very program: `troupe sealing processor <stage>`. */
function ownProcessor(stage: string): { bin: string; args: string[] } {
  const script = process.argv[1]
  const words = script === undefined ? [] : [resolve(script)]
  return {
    bin: process.execPath,
    args: [...process.execArgv, ...words, 'sealing', 'processor', stage],
  }
}
