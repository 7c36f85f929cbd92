/**
 * The shards of several chunks of one volume, side by side. Decides: that all lists are read in the order of
 * their ids, a page of each at a time, so that chunks of any size are compared in little memory; that a chunk
 * which does not answer, or cannot be used, says nothing. Leaves to others: what follows (`settling.ts`).
 */
import { TroupeError } from '../../../../src/index.ts'
import { nothingIsThere } from '../../plane/codes/index.ts'
import { isUnusable, type UnitPlace } from '../../plane/volumes/index.ts'
import type { MoveShards } from './ports.ts'

/** What a chunk says of a shard: nothing, where it cannot be asked. */
export type Said = 'whole' | 'marked' | 'absent' | 'nothing'

export interface SideBySide {
  bid: bigint
  /** In the order of the places. */
  said: readonly Said[]
}

export interface ShardListing {
  /** Of places, by their place in the list: those that did not answer are added. */
  unheard: Set<number>
  shards: MoveShards
  places: readonly UnitPlace[]
  /** Those that have to answer, by their place in the list: what they throw is thrown. */
  needed: readonly number[]
  signal: AbortSignal
}

const PAGE_COUNT = 1_000
/** Clients go first at every disk. */
const IO = 'migrate'

/** Every shard that any of them has. @throws TroupeError of one that is needed */
export async function* sideBySide(listing: ShardListing): AsyncGenerator<SideBySide, void, void> {
  const { places, needed } = listing
  const cursors = places.map((place, at) => {
    const unheard = () => listing.unheard.add(at)
    return new Cursor(listing, { place, isNeeded: needed.includes(at), unheard })
  })
  await Promise.all(cursors.map((cursor) => cursor.fill()))
  for (;;) {
    const bid = lowest(cursors)
    if (bid === undefined) return
    yield { bid, said: cursors.map((cursor) => cursor.take(bid)) }
    const empty = cursors.filter((cursor) => cursor.isEmpty)
    if (empty.length > 0) await Promise.all(empty.map((cursor) => cursor.fill()))
  }
}

function lowest(cursors: readonly Cursor[]): bigint | undefined {
  let low: bigint | undefined
  for (const { bid } of cursors)
    if (bid !== undefined && (low === undefined || bid < low)) low = bid
  return low
}

class Cursor {
  readonly #listing: ShardListing
  readonly #place: UnitPlace
  readonly #isNeeded: boolean
  readonly #unheard: () => void
  #page: readonly { bid: bigint; flag: 1 | 2 }[] = []
  #at = 0
  /** Undefined: there is no further page. */
  #next: bigint | undefined = 0n
  #isSilent = false

  constructor(
    listing: ShardListing,
    { place, isNeeded, unheard }: { place: UnitPlace; isNeeded: boolean; unheard: () => void },
  ) {
    this.#listing = listing
    this.#place = place
    this.#isNeeded = isNeeded
    this.#unheard = unheard
  }

  /** The one that is next in its list. */
  get bid(): bigint | undefined {
    return this.#page[this.#at]?.bid
  }

  get isEmpty(): boolean {
    return this.bid === undefined && this.#next !== undefined
  }

  take(bid: bigint): Said {
    const shard = this.#page[this.#at]
    if (shard?.bid !== bid) return this.#isSilent ? 'nothing' : 'absent'
    this.#at += 1
    return shard.flag === 2 ? 'marked' : 'whole'
  }

  async fill(): Promise<void> {
    const { shards, signal } = this.#listing
    while (this.bid === undefined && this.#next !== undefined) {
      signal.throwIfAborted()
      try {
        const page = { from: this.#next, status: 0, count: PAGE_COUNT }
        const answer = await shards.listShards(this.#place, page, { io: IO, signal })
        this.#page = answer.shards
        this.#next = answer.next === 0n ? undefined : answer.next
      } catch (thrown) {
        if (this.#isNeeded || !(thrown instanceof TroupeError)) throw thrown
        this.#page = []
        this.#next = undefined
        this.#isSilent = true
        // Who says that there is nothing to list has answered: it will not say more the next time.
        if (!nothingIsThere(thrown) && !isUnusable(thrown)) this.#unheard()
      }
      this.#at = 0
    }
  }
}
