/**
 * Makes the shard of one unit from those of others. Decides: which are read, and which instead when one of
 * them turns out to be bad; when it is to be said that it cannot be made now, or at all. Leaves to others: the
 * arithmetic (`erasure`), which blobs are wanted.
 */
import { crc32 } from 'node:zlib'
import { readsNeeded } from '../../plane/codes/index.ts'
import { copyBytes, rebuildSources } from '../../plane/erasure/index.ts'
import { type Finding, findingOf } from '../../plane/upkeep/index.ts'
import { nameOf, unitsOf } from './benchmark.ts'
import { SourceFailed } from './failures.ts'
import type { MovePlan } from './move-task.ts'
import type { ChunkCalls, RecoveryCode, StripeMemory } from './ports.ts'
import type { ShardRow } from './shard-table.ts'
import { type TryDeps, tried } from './tried.ts'

export interface RecoveryDeps extends TryDeps {
  chunks: Pick<ChunkCalls, 'getShard'>
  erasure: RecoveryCode
  io: 'migrate' | 'repair'
}

/** `deleted`: its blob is; `lost`: too little of it is left. */
export type Recovered =
  | { kind: 'done'; bytes: Buffer }
  | { kind: 'deleted' }
  | { kind: 'lost'; why: string }

/** What was found of the units of one blob on the way. */
interface Hunt {
  row: ShardRow
  /** Those that are still believed to have it. */
  present: number[]
  isDeleted: boolean
  away: string[]
  bad: string[]
}

export class Recovery {
  readonly #plan: MovePlan
  readonly #deps: RecoveryDeps
  /** Units that did not answer: others are asked first. */
  readonly #shy = new Set<number>()

  constructor(plan: MovePlan, deps: RecoveryDeps) {
    this.#plan = plan
    this.#deps = deps
  }

  /** @throws SourceFailed: it could be made of units that do not answer */
  async recover(row: ShardRow): Promise<Recovered> {
    const { mode, source } = this.#plan
    const hunt: Hunt = {
      row,
      present: unitsOf(row.units).filter((index) => index !== source.index),
      ...{ isDeleted: false, away: [], bad: [] },
    }
    if (mode.kind === 'replica') return this.#copied(hunt)
    const { erasure } = this.#deps
    const stripe = erasure.stripe(mode, row.size * readsNeeded(mode))
    try {
      const present = await this.#readInto(hunt, (index, bytes) => {
        copyBytes(stripe.shard(index), 0, bytes)
      })
      if (present === undefined) return this.#without(hunt)
      await erasure.rebuild(stripe, present, [source.index])
      return this.#taken(hunt, stripe)
    } finally {
      erasure.release(stripe)
    }
  }

  /** The memory of the stripe is soon another blob's. */
  #taken({ row }: Hunt, stripe: StripeMemory): Recovered {
    const { source } = this.#plan
    const bytes = Buffer.allocUnsafe(row.size)
    copyBytes(bytes, 0, stripe.shard(source.index))
    const isKnown = unitsOf(row.units).includes(source.index)
    if (isKnown && crc32(bytes) !== row.crc) {
      return { kind: 'lost', why: 'what the others make up is not what was written' }
    }
    return { kind: 'done', bytes }
  }

  async #copied(hunt: Hunt): Promise<Recovered> {
    let bytes: Buffer | undefined
    const present = await this.#readInto(hunt, (_, copy) => {
      bytes = copy
    })
    if (present === undefined || bytes === undefined) return this.#without(hunt)
    return { kind: 'done', bytes }
  }

  /** @returns the units that were read; undefined when they are too few */
  async #readInto(
    hunt: Hunt,
    give: (index: number, bytes: Buffer) => void,
  ): Promise<number[] | undefined> {
    const { mode, source } = this.#plan
    const read = new Set<number>()
    for (;;) {
      this.#deps.signal.throwIfAborted()
      const willing = hunt.present.filter((index) => !this.#shy.has(index) || read.has(index))
      const wanted = [source.index]
      const planned =
        rebuildSources(mode, willing, wanted) ?? rebuildSources(mode, hunt.present, wanted)
      if (hunt.isDeleted || planned === undefined) return undefined
      const missing = planned.filter((index) => !read.has(index))
      if (missing.length === 0) return planned
      await Promise.all(missing.map((index) => this.#readOne(index, hunt, { read, give })))
    }
  }

  async #readOne(
    index: number,
    hunt: Hunt,
    { read, give }: { read: Set<number>; give: (index: number, bytes: Buffer) => void },
  ): Promise<void> {
    const { chunks, clock, io, limits, signal } = this.#deps
    const unit = this.#plan.units[index]!
    // Who is busy is waited for; instead of one that is silent or bad another is read at once.
    const tries: TryDeps = { clock, limits: { ...limits, triesMax: 1 }, signal }
    try {
      const bytes = await tried(tries, () => chunks.getShard(unit, hunt.row.bid, { io, signal }))
      if (bytes.length === hunt.row.size) {
        give(index, bytes)
        read.add(index)
        return
      }
      this.#found(index, { kind: 'corrupt', why: `it has ${bytes.length} bytes` }, hunt)
    } catch (thrown) {
      signal.throwIfAborted()
      this.#found(index, findingOf(thrown), hunt)
    }
  }

  #found(index: number, finding: Finding, hunt: Hunt): void {
    hunt.present = hunt.present.filter((other) => other !== index)
    const why = `${nameOf(this.#plan.units[index]!)}: ${'why' in finding ? finding.why : finding.kind}`
    if (finding.kind === 'deleted') hunt.isDeleted = true
    else if (finding.kind === 'away') {
      hunt.away.push(why)
      this.#shy.add(index)
    } else hunt.bad.push(why)
  }

  /** @throws SourceFailed */
  #without({ row, isDeleted, away, bad }: Hunt): Recovered {
    if (isDeleted) return { kind: 'deleted' }
    if (away.length === 0) return { kind: 'lost', why: bad.join('; ') || 'too few units have it' }
    throw new SourceFailed(`blob ${row.bid} cannot be made up now: ${away.join('; ')}`)
  }
}
