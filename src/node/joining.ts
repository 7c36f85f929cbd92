/**
 * What has to hold before a node may take part in a cluster. Decides: that all nodes mean the same
 * shards (a fact that is created once), that nobody takes part while a node that was alone brings in what
 * it has, that a name belongs to one data directory, and that nobody runs under it now. Leaves to others:
 * how data are brought in (publishing.ts), everything after that (cluster/).
 *
 * A name is a promise: who waits for the records of `n1` must not be told by an empty disk under that
 * name that there are none.
 */
import type { Clock, Log, Registry } from '../ports/index.ts'
import { DEFAULT_CONFIG, pack, TroupeError, unpack } from '../protocol/index.ts'
import type { Peers } from './peers.ts'

/** Beside the claims of leaders and the view (cluster/). */
const FACTS_KEY = 'facts'
/** Created when all that the founder had is there. */
const PUBLISHED_KEY = 'published'
const NAME_PREFIX = 'node.'
const FACTS_FORM = 3

const RETRY_MS = 250
/** As long as a server takes to start, and to elect a leader of its streams. */
const PATIENCE_MS = 60_000
const SAY_MS = 5_000

export interface JoiningDeps {
  name: string
  cluster: string
  clock: Clock
  log: Log
  registry: Registry
  peers: Pick<Peers, 'who'>
  /** Ends the wait for a registry that does not answer. */
  signal?: AbortSignal | undefined
}

interface Facts {
  form: number
  shardCount: number
  /** Who brings the first data, where the cluster does not begin empty. */
  founder?: Founder
}

export interface Founder {
  node: string
  /** Of its data directory. */
  id: string
}

/** What a data directory keeps of its cluster. */
export interface Agreed {
  shardCount: number
  /** Whose data the cluster began with, if with any. */
  founder?: string
}

/** The same, of a directory that may be new. */
type Known = { readonly [Fact in keyof Agreed]?: Agreed[Fact] | undefined }

export class Joining {
  readonly #deps: JoiningDeps

  constructor(deps: JoiningDeps) {
    this.#deps = deps
  }

  /**
   * The number of shards of the cluster. Whoever comes first decides it.
   * @param directory what it knows @param wanted by the options
   * @throws TroupeError `invalid-config` when they differ
   */
  async agreeOnShards(directory: Known, wanted: number | undefined): Promise<Agreed> {
    const { cluster, log } = this.#deps
    const { shardCount: known } = directory
    const shardCount = known ?? wanted ?? DEFAULT_CONFIG.shards
    const outcome = await this.#claim(FACTS_KEY, pack({ form: FACTS_FORM, shardCount }))
    if (outcome.isWon) {
      if (known !== undefined) {
        log.error(
          { cluster },
          'the registry knew nothing of this cluster although this node has data of it: NATS may have lost its own',
        )
      }
      return { shardCount }
    }
    const facts = this.#readFacts(outcome.value)
    for (const [whose, count] of [
      ['but the data directory of this node has', known],
      ['and this node was told of', wanted],
    ] as const) {
      if (count === undefined || count === facts.shardCount) continue
      const why = `shards: the cluster "${cluster}" has ${facts.shardCount}, ${whose} ${count}: the number is fixed when a cluster is made`
      throw new TroupeError('invalid-config', why)
    }
    const { founder } = facts
    if (!founder) return { shardCount: facts.shardCount }
    await this.#requirePublished(founder, directory.founder === founder.id)
    return { shardCount: facts.shardCount, founder: founder.id }
  }

  /**
   * Makes the cluster with the data of this node's directory, or goes on with that. From now on nobody
   * else takes part before `declarePublished`.
   * @param requireNew throws where the cluster has data after all; asked before anything is decided
   * @throws TroupeError `conflict`
   */
  async found(shardCount: number, id: string, requireNew: () => Promise<void>): Promise<void> {
    const { name } = this.#deps
    const known = await this.#get(FACTS_KEY)
    if (known === undefined) await requireNew()
    const founder: Founder = { node: name, id }
    const outcome = await this.#claim(FACTS_KEY, pack({ form: FACTS_FORM, shardCount, founder }))
    if (outcome.isWon || this.#readFacts(outcome.value).founder?.id === id) return
    throw this.hasData()
  }

  /** Whether `declarePublished` was called for this directory. @throws TroupeError `conflict` */
  async isPublished(id: string): Promise<boolean> {
    const value = await this.#get(PUBLISHED_KEY)
    if (value === undefined) return false
    if (Buffer.from(value).toString() === id) return true
    throw this.hasData()
  }

  /** The others may take part. @throws TroupeError `conflict` */
  async declarePublished(id: string): Promise<void> {
    const outcome = await this.#claim(PUBLISHED_KEY, Buffer.from(id))
    if (!outcome.isWon && Buffer.from(outcome.value).toString() !== id) throw this.hasData()
  }

  hasData(): TroupeError {
    const { cluster } = this.#deps
    const why = `the cluster "${cluster}" has data of its own, and so has this directory, from when its node ran alone: two histories cannot become one. Join with an empty directory (--data); or, if what that cluster has is of no use, remove its streams from NATS (nats stream ls) and start this node first`
    return new TroupeError('conflict', why)
  }

  /**
   * Whoever has taken part with these data knows that they are, also when NATS has lost that. One that is
   * left of an older cluster of that name knows nothing of them.
   */
  async #requirePublished(founder: Founder, isKnown: boolean): Promise<void> {
    if (isKnown) await this.declarePublished(founder.id)
    else await this.#awaitPublication(founder)
  }

  /** However long it takes: a cluster without its data would be another one. */
  async #awaitPublication({ node }: Founder): Promise<void> {
    const { clock, log, signal, cluster } = this.#deps
    let sayMs = clock.monotonic()
    while ((await this.#get(PUBLISHED_KEY)) === undefined) {
      if (signal?.aborted) {
        throw new TroupeError('unavailable', `the data of ${node} are not in the cluster yet`)
      }
      if (clock.monotonic() >= sayMs) {
        log.info(
          { cluster, founder: node },
          'this node waits until the founder has brought its data into the cluster: start that one if it does not run; if its data shall not come, remove the streams of this cluster from NATS',
        )
        sayMs = clock.monotonic() + SAY_MS
      }
      await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve))
    }
  }

  #readFacts(value: Uint8Array): Facts {
    const facts = unpack(value) as Facts
    if (facts.form === FACTS_FORM) return facts
    const { cluster } = this.#deps
    const why = `the cluster "${cluster}" was made by another version of Troupe (form ${facts.form}; this one knows ${FACTS_FORM})`
    throw new TroupeError('invalid-config', why)
  }

  async #get(key: string): Promise<Uint8Array | undefined> {
    const found = await this.#until<{ value?: Uint8Array }>('the registry', (done) => {
      this.#deps.registry.get(key, (outcome) => {
        if (outcome.kind === 'unknown') done(undefined)
        else done(outcome.kind === 'found' ? { value: outcome.value } : {})
      })
    })
    return found.value
  }

  /**
   * @param replace an operator's word that the directory which had the name is gone for good
   * @throws TroupeError `conflict`
   */
  async claimName(id: string, replace: boolean): Promise<void> {
    const { name, cluster, log } = this.#deps
    const key = `${NAME_PREFIX}${name}`
    const value = Buffer.from(id)
    const outcome = await this.#claim(key, value)
    if (outcome.isWon || Buffer.compare(outcome.value, value) === 0) return
    if (!replace) {
      const why = `the name ${name} belongs to another data directory in the cluster "${cluster}": start this node under another name, or on that directory; if that one is gone for good, say so with --replace`
      throw new TroupeError('conflict', why)
    }
    await this.#until('the name of this node', (done) => {
      this.#deps.registry.put(key, value, (put) => done(put === 'put' ? true : undefined))
    })
    log.warn(
      { node: name },
      'this node takes the name of one whose data is gone: records that only that one had are lost',
    )
  }

  /** @throws TroupeError `conflict` while another process answers to the name */
  async requireNobody(): Promise<void> {
    const { peers, name } = this.#deps
    const other = await peers.who()
    if (!other) return
    const why = `the node ${name} runs already (process ${other.pid} on ${other.host}): stop that one, or start this one under another name`
    throw new TroupeError('conflict', why)
  }

  #claim(
    key: string,
    value: Uint8Array,
  ): Promise<{ isWon: true } | { isWon: false; value: Uint8Array }> {
    return this.#until('the registry', (done) => {
      this.#deps.registry.claim(key, value, (outcome) => {
        if (outcome.kind === 'unknown') done(undefined)
        else if (outcome.kind === 'won') done({ isWon: true })
        else done({ isWon: false, value: outcome.value })
      })
    })
  }

  /** Again while the outcome is unknown: a server may still be starting. */
  async #until<T>(what: string, attempt: (done: (value: T | undefined) => void) => void) {
    const { clock, log, signal } = this.#deps
    const endMs = clock.monotonic() + PATIENCE_MS
    let sayMs = clock.monotonic() + SAY_MS
    for (;;) {
      const value = await new Promise<T | undefined>(attempt)
      if (value !== undefined) return value
      const nowMs = clock.monotonic()
      if (signal?.aborted) throw new TroupeError('unavailable', `${what} has not answered yet`)
      if (nowMs >= endMs) {
        const why = `${what} did not answer for ${PATIENCE_MS / 1_000} s: look whether NATS runs, with JetStream`
        throw new TroupeError('unavailable', why)
      }
      if (nowMs >= sayMs) {
        log.warn({ what }, 'no answer yet; it is asked again')
        sayMs = nowMs + SAY_MS
      }
      await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve))
    }
  }
}
