/**
 * Job ids for this node. Decides: that they are taken in blocks, so that a job costs no extra commit;
 * what is left of a block when the node ends is never used.
 */
import { type Client, formatAddress, TroupeError } from '../../src/index.ts'
import { JOB_IDS } from './machines.ts'

const BLOCK_COUNT = 64

export class JobIdSource {
  readonly #client: Client
  readonly #address = formatAddress(JOB_IDS.machine, JOB_IDS.id)
  #next = 0
  #end = 0
  #taking: Promise<void> | undefined

  constructor(client: Client) {
    this.#client = client
  }

  /** @throws TroupeError as the actor that counts answers */
  async next(): Promise<number> {
    while (this.#next >= this.#end) {
      this.#taking ??= this.#take().finally(() => {
        this.#taking = undefined
      })
      await this.#taking
    }
    const id = this.#next
    this.#next += 1
    return id
  }

  async #take(): Promise<void> {
    const answer = await this.#client.ask(this.#address, { type: 'TAKE', count: BLOCK_COUNT })
    const { from, count } = (answer ?? {}) as { from?: number; count?: number }
    if (from === undefined || count === undefined) {
      throw new TroupeError('limit-exceeded', `${this.#address} has no job ids left, or is paused`)
    }
    this.#next = from
    this.#end = from + count
  }
}
