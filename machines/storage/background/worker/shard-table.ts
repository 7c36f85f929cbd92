/**
 * The shards that a chunk is to have, in columns: 21 bytes each, since a chunk of 16 GiB may have millions of
 * small ones, and a list of objects would take a hundred times that. Decides: nothing; ascending bids are its
 * caller's promise.
 */

export interface ShardRow {
  bid: bigint
  size: number
  /** CRC-32 as the chunk that moves has it; 0 where it has no such shard. */
  crc: number
  /** Units that have it, by their index: bit i of this. */
  units: bigint
}

/** `todo`, then whatever became of it. */
export type ShardState = 'todo' | 'there' | 'dropped'

const STATES: readonly ShardState[] = ['todo', 'there', 'dropped']
const ROWS_MIN = 1_024

export class ShardTable {
  #bids = new BigUint64Array(ROWS_MIN)
  #units = new BigUint64Array(ROWS_MIN)
  #sizes = new Uint32Array(ROWS_MIN)
  #crcs = new Uint32Array(ROWS_MIN)
  #states = new Uint8Array(ROWS_MIN)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** @param row of a higher bid than the last one */
  add({ bid, size, crc, units }: ShardRow): void {
    const at = this.#length
    if (at === this.#bids.length) this.#grow()
    this.#bids[at] = bid
    this.#sizes[at] = size
    this.#crcs[at] = crc
    this.#units[at] = units
    this.#length = at + 1
  }

  row(at: number): ShardRow {
    return {
      bid: this.#bids[at] ?? 0n,
      size: this.size(at),
      crc: this.#crcs[at] ?? 0,
      units: this.#units[at] ?? 0n,
    }
  }

  size(at: number): number {
    return this.#sizes[at] ?? 0
  }

  state(at: number): ShardState {
    return STATES[this.#states[at] ?? 0] ?? 'todo'
  }

  set(at: number, state: ShardState): void {
    this.#states[at] = STATES.indexOf(state)
  }

  /** Where a bid stands; undefined where it does not. */
  find(bid: bigint): number | undefined {
    let low = 0
    let high = this.#length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#bids[middle] ?? 0n) < bid) low = middle + 1
      else high = middle
    }
    return low < this.#length && this.#bids[low] === bid ? low : undefined
  }

  #grow(): void {
    const rows = 2 * this.#bids.length
    this.#bids = grown(this.#bids, new BigUint64Array(rows))
    this.#units = grown(this.#units, new BigUint64Array(rows))
    this.#sizes = grown(this.#sizes, new Uint32Array(rows))
    this.#crcs = grown(this.#crcs, new Uint32Array(rows))
    this.#states = grown(this.#states, new Uint8Array(rows))
  }
}

function grown<TColumn extends BigUint64Array | Uint32Array | Uint8Array>(
  from: TColumn,
  to: TColumn,
): TColumn {
  to.set(from as never)
  return to
}
