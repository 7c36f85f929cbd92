/**
 * The shards that this very process serves, for whoever asks within it: what is for them need not become
 * bytes. Decides: who may change what is handed over. Leaves to others: when that way may be taken
 * (client/near-requests.ts), and what a shard does (shard/server.ts).
 */
import type { Command, Outcome } from '../protocol/index.ts'

export interface NearShard {
  /**
   * Takes the commands in their order, as a request that holds them. They are the shard's from now on, and
   * the outcomes are the caller's. `done` is told once, when all have their outcome, also before the call
   * returns; never of what nobody may be told of.
   * @param bytesEach what one of them takes, about
   */
  take(commands: readonly Command[], bytesEach: number, done: (outcomes: Outcome[]) => void): void
}

export interface NearShards {
  /** Undefined when this process does not serve it. */
  of(shard: number): NearShard | undefined
}
