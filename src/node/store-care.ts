/**
 * What an operator does to the store of a data directory: verify, repair, compact, reset. Decides: that a
 * verification reads one snapshot of all shards, and in which order a reset removes. Leaves to others:
 * what must hold (shard/verification.ts), how LMDB does it (adapters/lmdb).
 */
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Compacted,
  compactStore,
  LmdbStore,
  requireUnused,
  retireStore,
} from '../adapters/lmdb/index.ts'
import { SystemRandom } from '../adapters/system/index.ts'
import type { Store } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import {
  type Problem,
  type Repair,
  type ReportProblem,
  RowReader,
  ShardVerification,
  type VerifiedShard,
  verifyEnds,
} from '../shard/index.ts'
import {
  DATA_PARTS,
  type DataFormat,
  formatOf,
  OTHER_PARTS,
  type RestoredFrom,
  requireData,
  restoredFrom,
  restoringPath,
  storePath,
  write,
} from './data.ts'

/** How far long work is: `done` of `of`. */
export type CareProgress = (step: string, done: number, of: number) => void

export interface CareOptions {
  progress?: CareProgress
  signal?: AbortSignal
}

export interface Verified {
  rows: number
  actors: number
  shards: number
  /** The shards are those of a cluster: what is true is its journal. */
  journaled: boolean
  problems: Problem[]
  /** Beyond those that are listed. */
  problemsMore: number
  /** How many of them `repairData` would mend. */
  repairable: number
}

export interface VerifiedData extends Verified {
  cluster: string
  restored: RestoredFrom | undefined
}

export interface RepairedData extends VerifiedData {
  /** Rows that were written or removed; what is said beside is how it is behind that. */
  repaired: number
}

/** Of a damaged store every actor may be one. */
const PROBLEMS_LISTED_MAX = 1_000
/** The reader of a large store may take hours; `adapters/lmdb` says what an open snapshot costs. */
const SNAPSHOT_OPEN_MAX_MS = 86_400_000
const NO_SHARD = Buffer.of(0xff, 0xff)
const REPAIRS_PER_COMMIT = 10_000

/** Reads every row; a node may have the store open. @throws TroupeError `not-found`, `store-failed` */
export async function verifyData(
  directory: string,
  options: CareOptions = {},
): Promise<VerifiedData> {
  requireData(directory)
  return withReader(directory, async (store, format) => {
    const verified = await verifyStore(store, format, options)
    return { ...verified, cluster: format.cluster, restored: restoredFrom(store) }
  })
}

/**
 * Writes the rows anew that are wholly made from others: those by which actors are listed, counted, woken
 * and given to workers. Everything else stays as it is.
 * @throws TroupeError `conflict` while a node runs, and for the store of a cluster's member
 */
export async function repairData(
  directory: string,
  options: CareOptions = {},
): Promise<RepairedData> {
  requireData(directory)
  await requireUnused(storePath(directory))
  const snapshotOpenMaxMs = SNAPSHOT_OPEN_MAX_MS
  const store = LmdbStore.open({ directory: storePath(directory), snapshotOpenMaxMs })
  try {
    const format = formatOf(store, directory)
    const repairs: Repair[] = []
    const found = await verifyStore(store, format, options, (repair) => repairs.push(repair))
    if (found.journaled && repairs.length > 0) throw ofMember(directory)
    for (let at = 0; at < repairs.length; at += REPAIRS_PER_COMMIT) {
      await write(store, repairs.slice(at, at + REPAIRS_PER_COMMIT))
      await breath(options.signal)
    }
    const verified = repairs.length === 0 ? found : await verifyStore(store, format, options)
    const { cluster } = format
    return { ...verified, cluster, restored: restoredFrom(store), repaired: repairs.length }
  } finally {
    await store.close()
  }
}

function ofMember(directory: string): TroupeError {
  return new TroupeError(
    'conflict',
    `${directory} is of a node of a cluster: its journal is true. Start the node with an empty data directory instead; it loads a checkpoint and follows the journal`,
  )
}

/** Beside a node, if one has it open: nothing is taken over. */
export async function withReader<T>(
  directory: string,
  run: (store: Store, format: DataFormat) => Promise<T>,
): Promise<T> {
  const store = LmdbStore.open({
    directory: storePath(directory),
    readOnly: true,
    snapshotOpenMaxMs: SNAPSHOT_OPEN_MAX_MS,
  })
  try {
    return await run(store, formatOf(store, directory))
  } finally {
    await store.close()
  }
}

export async function verifyStore(
  store: Store,
  { shardCount }: DataFormat,
  { progress, signal }: CareOptions,
  mend: (repair: Repair) => void = () => {},
): Promise<Verified> {
  const verified: Verified = {
    ...{ rows: 0, actors: 0, shards: shardCount, journaled: false },
    ...{ problems: [], problemsMore: 0, repairable: 0 },
  }
  const report: ReportProblem = (problem, repair) => {
    if (repair) {
      verified.repairable += 1
      mend(repair)
    }
    if (verified.problems.length < PROBLEMS_LISTED_MAX) verified.problems.push(problem)
    else verified.problemsMore += 1
  }
  const snapshot = store.snapshot()
  try {
    const reader = new RowReader(snapshot)
    const total = store.count(Buffer.of(0), NO_SHARD)
    const sides = new Map<number, VerifiedShard['channels']>()
    for (let shard = 0; shard < shardCount; shard++) {
      const steps = new ShardVerification(shard, shardCount, reader, report).run()
      let step = steps.next()
      for (; !step.done; step = steps.next()) {
        verified.rows += step.value
        progress?.('verify', Math.min(verified.rows, total), total)
        await breath(signal)
      }
      verified.actors += step.value.actors
      verified.journaled ||= step.value.journaled
      sides.set(shard, step.value.channels)
    }
    // What stands behind the last shard is nobody's.
    const first = Buffer.alloc(2)
    first.writeUInt16BE(shardCount)
    const stray = store.count(first, NO_SHARD)
    const what = `hold ${stray} rows; there are ${shardCount} shards`
    if (stray > 0) report({ kind: 'stray', shard: shardCount, subject: 'higher shards', what })
    if (!verified.journaled) {
      verifyEnds(sides, (subject, why) =>
        report({ kind: 'channel', shard: Number(subject.split(' ')[1]), subject, what: why }),
      )
    }
    return verified
  } finally {
    snapshot.close()
  }
}

/** Lets signals in. @throws TroupeError when one has come */
export async function breath(signal: AbortSignal | undefined): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
  if (signal?.aborted) throw new TroupeError('conflict', 'interrupted')
}

/** @throws TroupeError `conflict` while a node runs */
export async function compactData(
  directory: string,
  { progress }: CareOptions = {},
): Promise<Compacted> {
  requireData(directory)
  const told = (bytes: number, of: number) => progress?.('compact', bytes, of)
  const id = new SystemRandom().id().replaceAll(/[^A-Za-z0-9]/g, '0')
  return compactStore(storePath(directory), id, told)
}

/**
 * Removes what a node keeps in its data directory, and nothing else that may stand in it. The store is
 * unusable before the first file goes, and goes last: one that was cut short can be run again.
 * @throws TroupeError `conflict` while a node runs
 */
export async function resetData(directory: string): Promise<void> {
  if (!existsSync(restoringPath(directory))) requireData(directory)
  if (existsSync(storePath(directory))) await retireStore(storePath(directory))
  for (const part of [...OTHER_PARTS, DATA_PARTS.store]) {
    await rm(join(directory, part), { recursive: true, force: true })
  }
  await rm(restoringPath(directory), { recursive: true, force: true })
}
