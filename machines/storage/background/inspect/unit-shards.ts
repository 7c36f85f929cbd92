/**
 * The shards of one unit, in the order of their bids, each looked at where it lies. Decides: that a unit which
 * does not answer is asked a few times and then counts as away, so that it keeps nobody from looking at the
 * others. Leaves to others: what the shards of a blob mean together (`verdict.ts`).
 */
import { type Clock, TroupeError, wait } from '../../../../src/index.ts'
import type { BlobnodeClient, ShardInfo, UnitPlace } from '../../plane/blobnode/index.ts'
import { mayHaveMoved, StorageRefusal } from '../../plane/codes/index.ts'
import { isUnusable } from '../../plane/volumes/index.ts'

export type InspectShards = Pick<BlobnodeClient, 'verifyShards' | 'statShard'>

export interface SeenShard extends ShardInfo {
  isCorrupt: boolean
}

export interface UnitShardsDeps {
  shards: InspectShards
  clock: Clock
  signal: AbortSignal
}

/** Of shards of 1 MiB a disk reads these in a second, and then it is let rest for a while. */
const PAGE_COUNT = 100
const TRIES_MAX = 3
const PAUSE_MS = 1_000
export const INSPECT = { io: 'inspect' } as const

export class UnitShards {
  readonly index: number
  readonly place: UnitPlace
  /** Why nothing more comes from there. */
  away: string | undefined
  /** It is not where the mapping said. */
  isMoved = false
  /** Its chunk cannot be used at all, if the mapping is not an old one. */
  isUnusable = false
  readonly #deps: UnitShardsDeps
  #page: SeenShard[] = []
  #at = 0
  /** 0n behind the last page; the list begins at 0n, too. */
  #next = 0n
  #isBegun = false

  constructor(index: number, place: UnitPlace, deps: UnitShardsDeps) {
    this.index = index
    this.place = place
    this.#deps = deps
  }

  /** The one that comes next; undefined at the end, or where none is known yet. */
  get head(): SeenShard | undefined {
    return this.#page[this.#at]
  }

  /** Whether `fill` has to be waited for. */
  get isDry(): boolean {
    const isOver = this.#isBegun && this.#next === 0n
    return this.head === undefined && !isOver && this.away === undefined
  }

  take(): void {
    this.#at += 1
  }

  /** @returns the bytes that were looked at */
  async fill(): Promise<number> {
    let bytes = 0
    while (this.isDry) {
      const page = await this.#ask()
      if (page === undefined) break
      const corrupt = new Set(page.corrupt)
      this.#page = page.shards.map((shard) => ({ ...shard, isCorrupt: corrupt.has(shard.bid) }))
      this.#at = 0
      this.#next = page.next
      this.#isBegun = true
      bytes += page.shards.reduce((sum, { size }) => sum + size, 0)
    }
    return bytes
  }

  async #ask() {
    const { shards, clock, signal } = this.#deps
    for (let tries = 1; ; tries += 1) {
      signal.throwIfAborted()
      try {
        const page = { from: this.#next, count: PAGE_COUNT }
        return await shards.verifyShards(this.place, page, { signal, ...INSPECT })
      } catch (thrown) {
        signal.throwIfAborted()
        if (!(thrown instanceof TroupeError)) throw thrown
        if (!thrown.retry || tries === TRIES_MAX) {
          this.away = thrown.message
          this.isUnusable = isUnusable(thrown)
          this.isMoved = !this.isUnusable && hasMoved(thrown)
          return undefined
        }
        await wait({ clock, signal }, PAUSE_MS * tries)
      }
    }
  }
}

const DISK_BROKEN = 613

/** What was on a broken disk stays in the mapping until it is repaired: to read that again would change nothing. */
export function hasMoved(thrown: unknown): boolean {
  const isBroken = thrown instanceof StorageRefusal && thrown.status === DISK_BROKEN
  return mayHaveMoved(thrown) && !isBroken
}
