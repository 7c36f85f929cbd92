/**
 * All runs below a directory: their logs, what they take, and clearing away the old ones.
 *
 * Decides: what counts as a run (a directory with a claim), that a run that goes on is never removed,
 * and the order in which a sweep removes. Leaves to others: when to sweep, and how much to keep.
 */
import type { Dirent } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'

import type { Clock, Log } from '../../ports/index.ts'
import { TroupeError, toErrorRecord } from '../../protocol/index.ts'
import { inspectRun, isMissing, RUN_FILES } from '../process/index.ts'
import { type LogLimits, resolveLogLimits } from './limits.ts'
import { RunLog } from './run-log.ts'

export interface LogStoreOptions {
  clock: Clock
  log: Log
  limits?: Partial<LogLimits>
}

export interface RunUsage {
  dir: string
  /** Bytes of all its files. */
  bytes: number
  /** Unix ms. */
  startedAt: number
  /** Unix ms; undefined while it goes on. For a lost run that nobody has noticed: its last write. */
  endedAt: number | undefined
}

export interface SweepOptions {
  /** Ended runs older than this are removed; no limit when absent. */
  keepMs?: number
  /** Ended runs are removed, oldest first, until all runs together take no more; no limit when absent. */
  keepBytesMax?: number
  /** Levels of directories between the root and its runs; default 1: they are its entries. */
  depth?: number
}

export interface SweepResult {
  removed: RunUsage[]
  /** What the runs that stayed take. It may exceed `keepBytesMax`: runs that go on are not removed. */
  keptBytes: number
  keptCount: number
}

/**
 * A run on its way out has this at the end of its name, so that a crash leaves no half of a run. Names
 * of runs must not end so.
 */
const REMOVED_SUFFIX = '.removed'

export class LogStore {
  readonly #clock: Clock
  readonly #log: Log
  readonly #limits: LogLimits

  constructor(options: LogStoreOptions) {
    this.#clock = options.clock
    this.#log = options.log
    this.#limits = resolveLogLimits(options.limits)
  }

  /** The logs of a run directory, which need not exist yet. Opens nothing. */
  of(dir: string): RunLog {
    const context = { clock: this.#clock, log: this.#log, limits: this.#limits }
    return new RunLog(resolve(dir), context)
  }

  /**
   * Removes a run with its logs; one that is not there is fine. Throws `conflict` while it goes on.
   * Afterwards the directory could be started anew, so nobody may ask for that run again.
   */
  async remove(dir: string): Promise<void> {
    const path = resolve(dir)
    if (inspectRun(path).kind === 'running') {
      throw new TroupeError('conflict', `the run in ${path} goes on; end it before removing it`)
    }
    const doomed = path + REMOVED_SUFFIX
    try {
      await rm(doomed, { recursive: true, force: true })
      await rename(path, doomed)
      await rm(doomed, { recursive: true, force: true })
    } catch (cause) {
      if (isMissing(cause)) return
      throw new TroupeError('store-failed', `cannot remove ${path}`, { cause })
    }
  }

  /** The runs below `root`, oldest end first, those that go on last. One that vanishes is left out. */
  async list(root: string, depth = 1): Promise<RunUsage[]> {
    const runs: RunUsage[] = []
    for (const dir of await directories(resolve(root), depth)) {
      if (dir.endsWith(REMOVED_SUFFIX)) continue
      const usage = await usageOf(dir)
      if (usage !== undefined) runs.push(usage)
    }
    const end = (run: RunUsage) => run.endedAt ?? Number.POSITIVE_INFINITY
    return runs.sort((a, b) => (end(a) === end(b) ? a.startedAt - b.startedAt : end(a) - end(b)))
  }

  /** Removes ended runs as `options` say, and what earlier sweeps left half removed. */
  async sweep(root: string, options: SweepOptions): Promise<SweepResult> {
    const depth = options.depth ?? 1
    await this.#finishRemovals(resolve(root), depth)
    const runs = await this.list(root, depth)
    const keepMs = options.keepMs ?? Number.POSITIVE_INFINITY
    const keepBytesMax = options.keepBytesMax ?? Number.POSITIVE_INFINITY
    const now = this.#clock.now()
    const removed: RunUsage[] = []
    let keptBytes = runs.reduce((sum, run) => sum + run.bytes, 0)
    for (const run of runs) {
      if (run.endedAt === undefined) break
      // They come oldest first: when one may stay, so may all that follow.
      if (now - run.endedAt <= keepMs && keptBytes <= keepBytesMax) break
      if (!(await this.#tryRemove(run.dir))) continue
      removed.push(run)
      keptBytes -= run.bytes
    }
    return { removed, keptBytes, keptCount: runs.length - removed.length }
  }

  async #tryRemove(dir: string): Promise<boolean> {
    try {
      await this.remove(dir)
      return true
    } catch (cause) {
      // One run that cannot be removed must not keep all others.
      this.#log.warn({ dir, error: toErrorRecord(cause) }, 'cannot remove a run')
      return false
    }
  }

  async #finishRemovals(root: string, depth: number): Promise<void> {
    for (const dir of await directories(root, depth)) {
      if (!dir.endsWith(REMOVED_SUFFIX)) continue
      if (inspectRun(dir).kind === 'running') continue
      // Only what has been a run, whatever else may bear such a name.
      const names = new Set(await readdir(dir).catch(() => []))
      const isRun = Object.values(RUN_FILES).some((name) => names.has(name))
      if (isRun || names.size === 0) await rm(dir, { recursive: true, force: true })
    }
  }
}

/** The directories `depth` levels below `root`; none when it is not there. */
async function directories(root: string, depth: number): Promise<string[]> {
  let entries: Dirent[]
  try {
    entries = await readdir(root, { withFileTypes: true })
  } catch (cause) {
    if (isMissing(cause)) return []
    throw new TroupeError('store-failed', `cannot list ${root}`, { cause })
  }
  const found: string[] = []
  for (const entry of entries) {
    if (!entry.isDirectory()) continue
    const path = join(root, entry.name)
    if (depth <= 1) found.push(path)
    else found.push(...(await directories(path, depth - 1)))
  }
  return found
}

async function usageOf(dir: string): Promise<RunUsage | undefined> {
  const state = inspectRun(dir)
  if (state.kind === 'absent') return undefined
  let bytes = 0
  let lastWriteMs = 0
  for (const name of await readdir(dir).catch(() => [])) {
    const entry = await stat(join(dir, name)).catch(() => undefined)
    if (entry === undefined || !entry.isFile()) continue
    bytes += entry.size
    lastWriteMs = Math.max(lastWriteMs, entry.mtimeMs)
  }
  switch (state.kind) {
    case 'ended':
      return { dir, bytes, startedAt: state.exit.startedAt, endedAt: state.exit.endedAt }
    case 'lost':
      return { dir, bytes, startedAt: state.startedAt, endedAt: Math.round(lastWriteMs) }
    case 'running':
      return { dir, bytes, startedAt: state.startedAt, endedAt: undefined }
  }
}
