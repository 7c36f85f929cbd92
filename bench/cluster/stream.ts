/**
 * A steady stream of small commands, as many per second whatever becomes of them, to one shard after the
 * other, and when each shard acknowledged one. Decides: what a pause of a shard is: the longest time without
 * an acknowledgement.
 */
import type { Client } from '../../src/client/index.ts'
import { shardOf } from '../../src/protocol/index.ts'
import { quantile } from '../measure.ts'
import { SHARDS } from './members.ts'

const TICK_MS = 10
/** Longer than anything that is measured: what is not acknowledged then is lost. */
const TIMEOUT_MS = 30_000

interface Acknowledgements {
  lastAt: number
  /** Since the present window began. */
  longestMs: number
  /** Of a command that was sent in this window. */
  firstAt: number | undefined
}

export class Stream {
  readonly #client: Client
  readonly #addresses: readonly string[]
  readonly #perTick: number
  readonly #shards: Acknowledgements[]
  readonly #failures: string[] = []
  readonly #open = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | undefined
  #windowAt = 0
  #next = 0
  #due = 0

  constructor(client: Client, actors: number, perSecond: number) {
    this.#client = client
    this.#addresses = shardAfterShard(actors)
    this.#perTick = (perSecond * TICK_MS) / 1_000
    const now = performance.now()
    this.#shards = Array.from({ length: SHARDS }, () => ({
      lastAt: now,
      longestMs: 0,
      firstAt: undefined,
    }))
  }

  start(): void {
    this.begin()
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#open)
  }

  /** Commands that were given up, with what was said of them. */
  get failures(): readonly string[] {
    return this.#failures
  }

  /** A window: pauses count from now on. */
  begin(): void {
    this.#windowAt = performance.now()
    for (const shard of this.#shards) {
      shard.lastAt = Math.max(shard.lastAt, this.#windowAt)
      shard.longestMs = 0
      shard.firstAt = undefined
    }
  }

  /** The longest time without an acknowledgement in this window, by shard. */
  pauses(): number[] {
    const now = performance.now()
    return this.#shards.map(({ longestMs, lastAt }) => Math.max(longestMs, now - lastAt))
  }

  /** When each shard first acknowledged what was sent in this window, in ms from its begin. */
  firsts(): number[] | undefined {
    const firsts = this.#shards.map(({ firstAt }) => firstAt)
    if (firsts.includes(undefined)) return undefined
    return firsts.map((at) => (at ?? 0) - this.#windowAt)
  }

  #tick(): void {
    this.#due += this.#perTick
    for (; this.#due >= 1; this.#due--) {
      const address = this.#addresses[this.#next++ % this.#addresses.length]!
      const sent = this.#send(address).finally(() => this.#open.delete(sent))
      this.#open.add(sent)
    }
  }

  async #send(address: string): Promise<void> {
    const sentAt = performance.now()
    try {
      await this.#client.send(address, { type: 'NEXT', by: 'bench' }, { timeoutMs: TIMEOUT_MS })
    } catch (thrown) {
      this.#failures.push(String(thrown))
      return
    }
    const now = performance.now()
    const shard = this.#shards[shardOf(address, SHARDS)]!
    shard.longestMs = Math.max(shard.longestMs, now - shard.lastAt)
    shard.lastAt = now
    if (sentAt >= this.#windowAt) shard.firstAt ??= now
  }
}

/** As many actors of each shard, so that none waits longer for its turn than the others. */
function shardAfterShard(actors: number): string[] {
  const byShard: string[][] = Array.from({ length: SHARDS }, () => [])
  for (let n = 0; n < actors; n++) byShard[shardOf(`order/${n}`, SHARDS)]!.push(`order/${n}`)
  const rounds = Math.min(...byShard.map(({ length }) => length))
  return Array.from({ length: rounds }, (_, round) => byShard.map((own) => own[round]!)).flat()
}

/** What a shard pauses in a stream that nothing disturbs: its 99th of a hundred. */
export function usualOf(pauses: readonly number[]): number {
  return quantile(pauses, 0.99)
}
