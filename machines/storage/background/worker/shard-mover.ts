/**
 * Shards, from where they can be had to the new chunk. Decides: the way. From the old chunk, many at a time, where
 * that may be read; made up from the others, some together, where it may not, or fails; from an old chunk that
 * should be left in peace only what can be had nowhere else. What arrives is what the old chunk says was written:
 * its checksum goes along.
 */
import { crc32 } from 'node:zlib'
import { wait } from '../../../../src/index.ts'
import { BufferPool, type CopyFailure } from '../../plane/blobnode/index.ts'
import { StorageRefusal } from '../../plane/codes/index.ts'
import { type Finding, findingOf } from '../../plane/upkeep/index.ts'
import { unitsOf } from './benchmark.ts'
import { destinationFailure, isBusy, SourceFailed } from './failures.ts'
import { Gate } from './gate.ts'
import { JointRecovery } from './joint-recovery.ts'
import type { MovePlan, Unit } from './move-task.ts'
import type { ChunkCalls, RecoveryCode } from './ports.ts'
import { Recovery } from './recovery.ts'
import type { ShardRow } from './shard-table.ts'
import { type TryDeps, tried } from './tried.ts'

export interface MoverDeps extends TryDeps {
  chunks: Pick<ChunkCalls, 'getShard' | 'getShards' | 'putShard' | 'putShards' | 'copyShards'>
  erasure: RecoveryCode
  recoveriesAtOnce: number
  io: 'migrate' | 'repair'
}

/** `deleted`: its blob was, meanwhile. */
export type Moved = { kind: 'copied' } | { kind: 'deleted' } | { kind: 'lost'; why: string }

/** Copied, or what the old chunk says of it. */
export type CopyOutcome = { kind: 'copied' } | Finding

const COPIED = { kind: 'copied' } as const
const DELETED = { kind: 'deleted' } as const
const NONE: ReadonlyMap<bigint, Moved> = new Map()
const MARKED_DELETED = 654

export class ShardMover {
  readonly #plan: MovePlan
  readonly #deps: MoverDeps
  readonly #recovery: Recovery
  readonly #joint: JointRecovery
  readonly #buffers = new BufferPool()
  readonly #recoveries: Gate
  /** The old chunk did not answer, or was busy time and again: it is asked last from then on. */
  #isSourceShy = false

  constructor(plan: MovePlan, deps: MoverDeps) {
    this.#plan = plan
    this.#deps = deps
    this.#recovery = new Recovery(plan, deps)
    this.#joint = new JointRecovery(plan, { ...deps, buffers: this.#buffers })
    this.#recoveries = new Gate(deps.recoveriesAtOnce)
  }

  /** Whether the old chunk is the first to be asked for it. */
  isDirect(row: ShardRow): boolean {
    return this.#plan.isDirect && !this.#isSourceShy && this.#isInSource(row)
  }

  /** From the old chunk. @returns what became of each, by its bid @throws DestinationFailed */
  async copy(rows: readonly ShardRow[]): Promise<ReadonlyMap<bigint, CopyOutcome>> {
    const { clock, limits, signal } = this.#deps
    const outcomes = new Map<bigint, CopyOutcome>(rows.map(({ bid }) => [bid, COPIED]))
    let left = rows
    for (let count = 1; left.length > 0; count += 1) {
      if (count > 1) await wait({ clock, signal }, limits.retryMs)
      const isLast = count >= limits.busyTriesMax
      const busy = new Set<bigint>()
      for (const failure of await this.#copyOnce(left)) {
        if (!isLast && failure.isSource && isBusy(failure.why)) busy.add(failure.bid)
        else outcomes.set(failure.bid, this.#said(failure))
      }
      left = left.filter(({ bid }) => busy.has(bid))
    }
    return outcomes
  }

  #copyOnce(rows: readonly ShardRow[]): Promise<CopyFailure[]> {
    return this.#toDestination('shards cannot be copied', (at, options) =>
      this.#deps.chunks.copyShards(at, this.#plan.source, rows, options),
    )
  }

  #said({ isSource, why }: CopyFailure): CopyOutcome {
    const said: CopyOutcome = isSource ? findingOf(why) : DELETED
    this.#isSourceShy ||= said.kind === 'away'
    return said
  }

  /**
   * Together, as far as nothing is wrong with them.
   * @param rows that the same units have @returns what became of some, by its bid @throws DestinationFailed
   */
  async recoverSome(rows: readonly ShardRow[]): Promise<ReadonlyMap<bigint, Moved>> {
    const made = await this.#recoveries.within(() => this.#joint.recover(rows))
    if (made === undefined) return NONE
    const { shards, bytes } = made
    const outcomes = new Map<bigint, Moved>(shards.map(({ bid }) => [bid, COPIED]))
    const deleted = await this.#toDestination('shards cannot be put', (at, options) =>
      this.#deps.chunks.putShards(at, shards, bytes, options),
    )
    // A put that was given up may still read it: then it is not used again.
    this.#buffers.give(bytes)
    for (const { bid } of deleted) outcomes.set(bid, DELETED)
    return outcomes
  }

  /** @param said by the old chunk, where it was asked for it @throws DestinationFailed, SourceFailed */
  async recover(row: ShardRow, said?: CopyOutcome): Promise<Moved> {
    const isLeft = said === undefined && this.#isInSource(row)
    const recovered = await this.#recover(row, isLeft)
    if (recovered.kind !== 'lost') return recovered
    const last = isLeft ? (await this.copy([row])).get(row.bid) : said
    if (last?.kind === 'copied' || last?.kind === 'deleted') return last
    // What the old chunk may still have is not given up because it is away.
    if (last?.kind === 'away') throw new SourceFailed(`blob ${row.bid}: ${last.why}`)
    return recovered
  }

  /** @param isLeft units that are away are no reason to wait: the old chunk can still be asked */
  async #recover(row: ShardRow, isLeft: boolean): Promise<Moved> {
    try {
      // Only what holds all shards of a blob in memory is limited; it is put while others are read.
      const recovered = await this.#recoveries.within(() => this.#recovery.recover(row))
      if (recovered.kind !== 'done') return recovered
      await this.#put(row.bid, recovered.bytes)
      return COPIED
    } catch (thrown) {
      if (thrown instanceof DeletedThere) return DELETED
      if (isLeft && thrown instanceof SourceFailed) return { kind: 'lost', why: thrown.message }
      throw thrown
    }
  }

  /** @throws DeletedThere, DestinationFailed */
  async #put(bid: bigint, bytes: Buffer): Promise<void> {
    const crc = crc32(bytes)
    await this.#toDestination(`blob ${bid} cannot be put`, (at, options) =>
      this.#deps.chunks.putShard(at, bid, bytes, { ...options, crc }),
    )
  }

  async #toDestination<T>(
    what: string,
    call: (at: Unit, options: { io: MoverDeps['io']; signal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    const { io, signal } = this.#deps
    try {
      return await tried(this.#deps, () => call(this.#plan.destination, { io, signal }))
    } catch (thrown) {
      signal.throwIfAborted()
      const isDeleted = thrown instanceof StorageRefusal && thrown.status === MARKED_DELETED
      if (isDeleted) throw new DeletedThere()
      throw destinationFailure(what, thrown)
    }
  }

  #isInSource({ units }: ShardRow): boolean {
    const { isRepair, source } = this.#plan
    return !isRepair && unitsOf(units).includes(source.index)
  }
}

/** Somebody has deleted the blob in the new chunk: it is not to come back. */
class DeletedThere extends Error {}
