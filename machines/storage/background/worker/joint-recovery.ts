/**
 * Makes the shards of one unit for several blobs at once. Decides: that their shards are taken for those of one long
 * blob (the code works column by column), so that each unit is asked once, and straight into the memory that is
 * computed in; whom it does without: a shard that is bad goes from the row, a unit that does not answer is asked no more. Whatever is
 * not as it should be, somebody has to look at blob by blob. Leaves to others: that (`recovery.ts`).
 */
import { crc32 } from 'node:zlib'
import type { BufferPool } from '../../plane/blobnode/index.ts'
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

/** One that is made up. */
export interface MadeShard {
  bid: bigint
  size: number
  crc: number
}

export interface Made {
  shards: MadeShard[]
  /** One behind the other, in memory of the pool. */
  bytes: Buffer
}

/** All units of the blobs that are made up together: two of 4 MiB. */
const JOINT_BYTES_MAX = 16_777_216
/** Asked for in one call. */
const JOINT_ROWS_MAX = 256

/** Neighbours that the same units have; each group has at least one. Pure. */
export function* jointRows<TRow extends { row: ShardRow }>(
  rows: readonly TRow[],
  { mode }: MovePlan,
): Generator<TRow[], void, undefined> {
  const bytesMax = JOINT_BYTES_MAX / unitCount(mode)
  let group: TRow[] = []
  let bytes = 0
  for (const one of rows) {
    const [first] = group
    const fits =
      first?.row.units === one.row.units &&
      bytes + one.row.size <= bytesMax &&
      group.length < JOINT_ROWS_MAX
    if (first !== undefined && !fits) {
      yield group
      group = []
      bytes = 0
    }
    group.push(one)
    bytes += one.row.size
  }
  if (group.length > 0) yield group
}

export class JointRecovery {
  readonly #plan: MovePlan
  readonly #deps: JointDeps
  /** Units that did not answer, or have nothing to give. */
  readonly #left = new Set<number>()

  constructor(plan: MovePlan, deps: JointDeps) {
    this.#plan = plan
    this.#deps = deps
  }

  /** @param rows that the same units have @returns what could be made up at once @throws the signal's reason */
  async recover(rows: readonly ShardRow[]): Promise<Made | undefined> {
    const { mode, source } = this.#plan
    let left = rows
    while (left.length > 0) {
      const has = unitsOf(left[0]?.units ?? 0n)
      const present = has.filter((index) => index !== source.index && !this.#left.has(index))
      const sources = rebuildSources(mode, present, [source.index])
      if (sources === undefined) return undefined
      const made = await this.#attempt(left, sources)
      if ('shards' in made) return made
      left = left.filter(({ bid }) => !made.has(bid))
    }
    return undefined
  }

  /** @returns what was made; or whom to do without, when a unit is not empty-handed */
  async #attempt(
    rows: readonly ShardRow[],
    sources: readonly number[],
  ): Promise<Made | ReadonlySet<bigint>> {
    const { erasure, buffers } = this.#deps
    const { mode, source } = this.#plan
    const bytes = rows.reduce((sum, { size }) => sum + size, 0)
    const stripe = erasure.stripe(mode, bytes * readsNeeded(mode))
    const bad = new Set<bigint>()
    const answers = sources.map((index) => this.#readInto(stripe, index, { rows, bytes, bad }))
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
      return true
    } catch {
      signal.throwIfAborted()
      this.#left.add(index)
      return false
    }
  }
}

/** Such as are known to be another shard are left out. The memory is soon another blob's. */
function madeOf(rows: readonly ShardRow[], memory: Buffer, bytes: Buffer): Made {
  const shards: MadeShard[] = []
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
