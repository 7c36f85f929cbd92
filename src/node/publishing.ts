/**
 * Bringing what a node had alone into a cluster that begins with it.
 *
 * Decides: the order, so that at every moment the directory either can be started alone again or belongs
 * to a member, and never both. The intention stands in the registry first, and nobody else takes part while it
 * does. Checkpoints of all shards are made; then one commit makes the directory a member's; only then
 * does any journal begin, and when all have, the registry says so. Whatever is cut short is gone on with by
 * the next start. Leaves to others: what of a shard is brought (shard/publication.ts), the registry
 * (joining.ts), the directory (member-data.ts).
 */
import type { Checkpoints, Clock, Journal, Log, Random, Store } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import {
  type Begun,
  type Found,
  publishedRow,
  ShardPublication,
  type Uploaded,
} from '../shard/index.ts'
import type { Joining } from './joining.ts'
import type { Legacy } from './member-data.ts'
import type { CareProgress } from './store-care.ts'

export interface PublishingDeps {
  name: string
  /** Of the data directory. */
  id: string
  legacy: Legacy
  joining: Joining
  store: Store
  journal: Journal
  checkpoints: Checkpoints
  clock: Clock
  random: Random
  log: Log
  chunkBytesMax: number
  /** Ends it; it can be gone on with. */
  signal?: AbortSignal | undefined
  /** How far it is: `done` of `of`. */
  progress?: CareProgress | undefined
}

const SHARDS_AT_ONCE = 4
const SAY_MS = 5_000
const LOOK_MS = 50

export class Publishing {
  readonly #deps: PublishingDeps

  constructor(deps: PublishingDeps) {
    this.#deps = deps
  }

  /** Nobody else takes part from now on. @throws TroupeError `conflict` where the cluster has data */
  async begin(): Promise<void> {
    const { legacy, joining, id } = this.#deps
    const requireNew = async () => {
      // What this directory has begun for good may be there, and is compared shard by shard.
      if (legacy.publication === undefined) await this.#requireNothing('checkpoints')
    }
    await joining.found(legacy.shardCount, id, requireNew)
  }

  /** @throws TroupeError `conflict` where the cluster has data */
  async run(): Promise<void> {
    const { legacy, joining, id, log, name } = this.#deps
    if (await joining.isPublished(id)) {
      if (legacy.publication === undefined) throw joining.hasData()
    } else {
      log.warn(
        { node: name, shards: legacy.shardCount },
        'this node brings what it had alone into the cluster, which begins with it',
      )
      const begun = legacy.publication
      if (begun !== undefined) await this.#upload(begun)
      await this.#publish(begun ?? (await this.#prepare()))
      await joining.declarePublished(id)
      log.info({ node: name }, 'all that this node had alone is in the cluster')
    }
    await legacy.finish()
  }

  /** Up to here the directory can be started alone; whatever it does then is brought by the next try. */
  async #prepare(): Promise<string> {
    const { legacy, random, store } = this.#deps
    await this.#requireNothing('slots')
    const publication = random.id()
    await this.#each<void>('clear what an earlier try left', publication, (one, done) =>
      one.clear(done),
    )
    await this.#upload(publication)
    const shards = Array.from({ length: legacy.shardCount }, (_, shard) => shard)
    const rows = shards.map((shard) => publishedRow(shard, store, publication))
    await legacy.commit(publication, rows)
    return publication
  }

  /** Again, until nothing had to be done: what NATS has not synced may go with its process. */
  async #publish(publication: string): Promise<void> {
    for (let isWhole = false; !isWhole; ) {
      // To look through all checkpoints takes longer: only behind journals that have all begun.
      isWhole = (await this.#begin(publication)) && (await this.#upload(publication))
    }
  }

  /** True when all had begun before. */
  async #begin(publication: string): Promise<boolean> {
    let hadBegun = true
    await this.#each<Begun>(
      'begin the journals',
      publication,
      (one, done) => one.begin(done),
      (outcome) => {
        if (outcome === 'taken by others') throw this.#deps.joining.hasData()
        hadBegun &&= outcome === 'had begun'
      },
    )
    return hadBegun
  }

  /** True when all was there before. */
  async #upload(publication: string): Promise<boolean> {
    let wasThere = true
    await this.#each<Uploaded>(
      'publish shards',
      publication,
      (one, done) => one.upload(done),
      (outcome) => {
        if (outcome.kind === 'failed') {
          throw new TroupeError('unavailable', `a shard could not be published: ${outcome.why}`)
        }
        wasThere &&= outcome.kind === 'was there'
      },
    )
    return wasThere
  }

  /** @param what has to be absent; checkpoints may be those of an earlier try */
  #requireNothing(what: 'slots' | 'checkpoints'): Promise<void> {
    return this.#each<Found>(
      'look at the cluster',
      '',
      (one, done) => one.look(done),
      (found) => {
        if (found === 'slots' || found === what) throw this.#deps.joining.hasData()
      },
    )
  }

  /** Some shards at once. @throws whatever `judge` does, and when it is ended */
  async #each<T>(
    step: string,
    publication: string,
    act: (one: ShardPublication, done: (outcome: T) => void) => void,
    judge: (outcome: T) => void = () => {},
  ): Promise<void> {
    const { shardCount: of } = this.#deps.legacy
    const say = this.#teller(step, of)
    const failures: unknown[] = []
    let next = 0
    let done = 0
    const work = async () => {
      while (next < of && failures.length === 0) {
        const shard = next++
        try {
          judge(await this.#one(shard, publication, act, () => failures.length > 0))
          say(++done)
        } catch (thrown) {
          failures.push(thrown)
        }
      }
    }
    // The store is closed behind it: nothing of it may be under way then.
    await Promise.all(Array.from({ length: SHARDS_AT_ONCE }, work))
    if (failures.length > 0) throw failures[0]
  }

  /** NATS may be away for as long as it likes; whoever waits may end it. */
  #one<T>(
    shard: number,
    publication: string,
    act: (one: ShardPublication, done: (outcome: T) => void) => void,
    isOver: () => boolean,
  ): Promise<T> {
    const { clock, signal, name } = this.#deps
    const one = new ShardPublication({ ...this.#deps, shard, node: name, id: publication })
    return new Promise<T>((resolve, reject) => {
      let cancel = () => {}
      const look = () => {
        if (!signal?.aborted && !isOver()) {
          cancel = clock.after(LOOK_MS, look)
          return
        }
        one.stop()
        reject(new TroupeError('unavailable', 'the data of this node are not in the cluster yet'))
      }
      look()
      act(one, (outcome) => {
        cancel()
        one.stop()
        resolve(outcome)
      })
    })
  }

  #teller(step: string, of: number): (done: number) => void {
    const { clock, log, progress } = this.#deps
    let sayMs = clock.monotonic() + SAY_MS
    return (done) => {
      progress?.(step, done, of)
      if (clock.monotonic() < sayMs) return
      sayMs = clock.monotonic() + SAY_MS
      log.info({ step, done, of }, 'the data of this node are brought into the cluster')
    }
  }
}
