/**
 * Makes the shards of one unit for several blobs at once. Decides: that their shards are taken for those of one long
 * blob (the code works column by column), so that each unit is asked once, and straight into the memory that is
 * computed in; what it does without: a blob of which a shard is bad, a unit that does not answer as long as others
 * suffice. Whatever is not as it should be, or too large for one call, somebody has to look at blob by blob. Leaves
 * to others: that (`recovery.ts`).
 */
import { crc32 } from 'node:zlib'
import { TroupeError } from '../../../../src/index.ts'
import {
  type BufferPool,
  bytesOf,
  MANY_BYTES_MAX,
  type PutShard,
} from '../../plane/blobnode/index.ts'
import { byteGroups } from '../../plane/byte-groups.ts'
import { readsNeeded, unitCount } from '../../plane/codes/index.ts'
import { copyBytes, rebuildSources } from '../../plane/erasure/index.ts'
import { unitsOf } from './benchmark.ts'
import type { MovePlan } from './move-task.ts'
import type { ChunkCalls, RecoveryCode, StripeMemory } from './ports.ts'
import type { ShardRow } from './shard-table.ts'
import { type TryDeps, tried } from './tried.ts'

export interface JointDeps extends TryDeps {
  chunks: Pick<ChunkCalls, 'getShards'>
  erasure: RecoveryCode
  /** For what is made up. */
  buffers: BufferPool
  io: 'migrate' | 'repair'
}

export interface Made {
  shards: PutShard[]
  /** One behind the other, in memory of the pool. */
  bytes: Buffer
}

/**
 * All units of the blobs that are made up together, as many as go into 32 MiB of a pool: five of 4 MiB. In groups of
 * 16 MiB, two such blobs, the calls were 2.5 times as many, and all blobnodes together needed a seventh more CPU.
 */
const JOINT_BYTES_MAX = 33_554_432
/** Asked for in one call. */
const JOINT_ROWS_MAX = 256

/** Neighbours that the same units have; each group has at least one. Pure. */
export function jointRows<TRow extends { row: ShardRow }>(
  rows: readonly TRow[],
  { mode }: MovePlan,
): Generator<TRow[], void, undefined> {
  return byteGroups(rows, {
    bytesOf: ({ row }) => row.size,
    // Each unit gives its part in one call.
    bytesMax: Math.min(MANY_BYTES_MAX, JOINT_BYTES_MAX / unitCount(mode)),
    countMax: JOINT_ROWS_MAX,
    isAlike: (first, one) => first.row.units === one.row.units,
  })
}

export class JointRecovery {
  readonly #plan: MovePlan
  readonly #deps: JointDeps
  /** Units that gave nothing when they were asked last: others are asked first. */
  readonly #shy = new Set<number>()

  constructor(plan: MovePlan, deps: JointDeps) {
    this.#plan = plan
    this.#deps = deps
  }

  /** @param rows that the same units have @returns what could be made up at once @throws the signal's reason */
  async recover(rows: readonly ShardRow[]): Promise<Made | undefined> {
    if (bytesOf(rows) > MANY_BYTES_MAX) return undefined
    let left = rows
    const silent = new Set<number>()
    while (left.length > 0) {
      const sources = this.#sources(left[0]?.units ?? 0n, silent)
      if (sources === undefined) return undefined
      const made = await this.#attempt(left, sources, silent)
      if ('shards' in made) return made
      left = left.filter(({ bid }) => !made.has(bid))
    }
    return undefined
  }

  /** @param silent of these rows: none is asked twice for them */
  #sources(units: bigint, silent: ReadonlySet<number>): readonly number[] | undefined {
    const { mode, source } = this.#plan
    const present = unitsOf(units).filter((index) => index !== source.index && !silent.has(index))
    const willing = present.filter((index) => !this.#shy.has(index))
    return (
      rebuildSources(mode, willing, [source.index]) ?? rebuildSources(mode, present, [source.index])
    )
  }

  /** @returns what was made; or, when anything is missing, the blobs of which a shard is bad */
  async #attempt(
    rows: readonly ShardRow[],
    sources: readonly number[],
    silent: Set<number>,
  ): Promise<Made | ReadonlySet<bigint>> {
    const { erasure, buffers } = this.#deps
    const { mode, source } = this.#plan
    const bytes = bytesOf(rows)
    const stripe = erasure.stripe(mode, bytes * readsNeeded(mode))
    const bad = new Set<bigint>()
    const answers = sources.map(async (index) => {
      const hasAnswered = await this.#readInto(stripe, index, { rows, bytes, bad })
      if (!hasAnswered) silent.add(index)
      return hasAnswered
    })
    // A disk that was not waited for may still write into that memory: then it is nobody else's.
    const isClean = (await Promise.all(answers)).every((answered) => answered)
    if (isClean && bad.size === 0) await erasure.rebuild(stripe, sources, [source.index])
    if (!isClean) return bad
    const made = bad.size > 0 ? bad : madeOf(rows, stripe.shard(source.index), buffers.take(bytes))
    erasure.release(stripe)
    return made
  }

  /** @returns false: it gives none */
  async #readInto(
    stripe: StripeMemory,
    index: number,
    { rows, bytes, bad }: { rows: readonly ShardRow[]; bytes: number; bad: Set<bigint> },
  ): Promise<boolean> {
    const { chunks, clock, io, limits, signal } = this.#deps
    const target = stripe.shard(index).subarray(0, bytes)
    // Who is busy is waited for; instead of one that is silent another is read at once.
    const tries: TryDeps = { clock, limits: { ...limits, triesMax: 1 }, signal }
    try {
      const failed = await tried(tries, () =>
        chunks.getShards(this.#plan.units[index]!, rows, target, { io, signal }),
      )
      for (const { bid } of failed) bad.add(bid)
      this.#shy.delete(index)
      return true
    } catch (thrown) {
      signal.throwIfAborted()
      if (!(thrown instanceof TroupeError)) throw thrown
      this.#shy.add(index)
      return false
    }
  }
}

/** Such as are known to be another shard are left out. The memory is soon another blob's. */
function madeOf(rows: readonly ShardRow[], memory: Buffer, bytes: Buffer): Made {
  const shards: PutShard[] = []
  let from = 0
  let to = 0
  for (const { bid, size, crc: known } of rows) {
    const made = memory.subarray(from, from + size)
    const crc = crc32(made)
    from += size
    if (known !== 0 && crc !== known) continue
    copyBytes(bytes, to, made)
    to += size
    shards.push({ bid, size, crc })
  }
  return { shards, bytes: bytes.subarray(0, to) }
}
