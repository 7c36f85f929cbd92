/**
 * Shards from blobs and blobs from shards, off the main thread. Decides: how many threads compute, and what
 * is refused: too few shards. Leaves to others: where shards come from, and whether they are whole
 * (blobnodes verify their checksums); which units are computed from which (`rebuild-plan.ts`).
 */
import { availableParallelism } from 'node:os'
import { TroupeError } from '../../../../src/index.ts'
import { type CodeMode, readsNeeded, refusal, unitCount } from '../codes/index.ts'
import { canRebuild, rebuildPlan, type Step } from './rebuild-plan.ts'
import { Stripe, StripePool } from './stripe.ts'
import { Threads } from './threads.ts'

const THREADS_MAX_DEFAULT = 4

export interface ErasureOptions {
  /** Default: the cores but one, at least 1 and at most 4. */
  threads?: number
}

export class Erasure {
  readonly #threads: Threads
  readonly #pool = new StripePool()
  /** Jobs under way in some memory: it is nobody else's before they end. */
  readonly #jobs = new Map<SharedArrayBuffer, number>()
  readonly #leaving = new Set<SharedArrayBuffer>()

  private constructor(threads: Threads) {
    this.#threads = threads
  }

  /** Its threads begin with the first blob. */
  static onDemand({ threads = threadsDefault() }: ErasureOptions = {}): Erasure {
    return new Erasure(Threads.onDemand(threads))
  }

  static async open({ threads = threadsDefault() }: ErasureOptions = {}): Promise<Erasure> {
    return new Erasure(await Threads.open(threads))
  }

  /** Its padding is zero. Release it when nobody reads or writes its shards any more. */
  stripe(mode: CodeMode, blobBytes: number): Stripe {
    return new Stripe(mode, blobBytes, this.#pool)
  }

  /**
   * Fills the shards that are not data. May run while data shards are being sent.
   * @returns the CRC-32 of every shard @throws TroupeError `unavailable`
   */
  async encode(stripe: Stripe): Promise<number[]> {
    const { mode } = stripe
    const units = unitsOf(mode)
    const given = units.slice(0, readsNeeded(mode))
    const steps = rebuildPlan(mode, given, units) ?? []
    if (mode.kind === 'erasure') return this.#run(stripe, steps, units)
    const [checksum] = await this.#run(stripe, steps, given)
    return units.map(() => checksum!)
  }

  /**
   * Fills the shards of `wanted` from those of `present`; others that are not present may be filled on the
   * way. @throws StorageRefusal 671 when too few are present, and nothing is touched; TroupeError `unavailable`
   */
  async rebuild(
    stripe: Stripe,
    present: readonly number[],
    wanted: readonly number[],
  ): Promise<void> {
    const { mode } = stripe
    requireUnits(mode, [...present, ...wanted])
    const steps = rebuildPlan(mode, present, wanted)
    if (!steps) throw tooFew(mode, present, wanted)
    if (steps.length > 0) await this.#run(stripe, steps, [])
  }

  /** Pure. */
  canRebuild(mode: CodeMode, present: readonly number[], wanted: readonly number[]): boolean {
    return canRebuild(mode, present, wanted)
  }

  /** Its memory goes to another blob, as soon as no job of it runs. */
  release(stripe: Stripe): void {
    const memory = stripe.leaveMemory()
    if (!memory) return
    if (this.#jobs.has(memory)) this.#leaving.add(memory)
    else this.#pool.give(memory)
  }

  /** Cuts what runs: it is refused as `unavailable`. */
  async close(): Promise<void> {
    await this.#threads.close()
  }

  async #run(
    { memory, shardBytes }: Stripe,
    steps: readonly Step[],
    checksums: readonly number[],
  ): Promise<number[]> {
    this.#jobs.set(memory, (this.#jobs.get(memory) ?? 0) + 1)
    try {
      return await this.#threads.run({ memory, shardBytes, steps, checksums })
    } finally {
      this.#ended(memory)
    }
  }

  #ended(memory: SharedArrayBuffer): void {
    const others = this.#jobs.get(memory)! - 1
    if (others > 0) {
      this.#jobs.set(memory, others)
      return
    }
    this.#jobs.delete(memory)
    if (this.#leaving.delete(memory)) this.#pool.give(memory)
  }
}

function threadsDefault(): number {
  return Math.min(THREADS_MAX_DEFAULT, Math.max(1, availableParallelism() - 1))
}

function unitsOf(mode: CodeMode): number[] {
  return Array.from({ length: unitCount(mode) }, (_, unit) => unit)
}

function requireUnits(mode: CodeMode, units: readonly number[]): void {
  const known = unitsOf(mode)
  const wrong = units.find((unit) => !known.includes(unit))
  if (wrong === undefined) return
  throw new TroupeError(
    'malformed',
    `${mode.name} has units 0 to ${known.length - 1}, not ${wrong}`,
  )
}

function tooFew(mode: CodeMode, present: readonly number[], wanted: readonly number[]): Error {
  const there = `of the ${unitCount(mode)} units of ${mode.name} only [${present}] are there`
  return refusal(671, `${there}: too few to rebuild [${wanted}]`)
}
