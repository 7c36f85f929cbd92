/**
 * Numbers of blobs for this node. Decides: how many are taken at a time. What a node has taken and not used
 * is lost when it ends.
 */
import type { Client } from '../../../../src/index.ts'
import { takeBids } from './numbers.ts'

export class Bids {
  readonly #client: Client
  readonly #perRange: number
  #next = 0n
  #left = 0
  #taking: Promise<void> | undefined

  constructor(client: Client, perRange: number) {
    this.#client = client
    this.#perRange = perRange
  }

  /** So many in a row, the first of them. @throws StorageRefusal 802 */
  async next(count: number): Promise<bigint> {
    // A range of its own, so that the rest of this one is not lost.
    if (count > this.#perRange / 2) return takeBids(this.#client, count)
    while (this.#left < count) {
      this.#taking ??= this.#take().finally(() => {
        this.#taking = undefined
      })
      await this.#taking
    }
    const first = this.#next
    this.#next += BigInt(count)
    this.#left -= count
    return first
  }

  async #take(): Promise<void> {
    this.#next = await takeBids(this.#client, this.#perRange)
    this.#left = this.#perRange
  }
}
