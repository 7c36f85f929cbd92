/**
 * What has to hold before a node may take part in a cluster. Decides: that all nodes mean the same
 * shards (a fact that is created once), that a name belongs to one data directory, and that nobody runs
 * under it now. Leaves to others: everything after that (cluster/).
 *
 * A name is a promise: who waits for the records of `n1` must not be told by an empty disk under that
 * name that there are none.
 */
import type { Clock, Log, Registry } from '../ports/index.ts'
import { pack, TroupeError, unpack } from '../protocol/index.ts'
import { SHARD_COUNT } from './data.ts'
import type { Peers } from './peers.ts'

/** Beside the claims of leaders and the view (cluster/). */
const FACTS_KEY = 'facts'
const NAME_PREFIX = 'node.'
const FACTS_FORM = 1

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
  peers: Peers
  /** Ends the wait for a registry that does not answer. */
  signal?: AbortSignal | undefined
}

interface Facts {
  form: number
  shardCount: number
}

export class Joining {
  readonly #deps: JoiningDeps

  constructor(deps: JoiningDeps) {
    this.#deps = deps
  }

  /**
   * The number of shards of the cluster. Whoever comes first decides it.
   * @param known by the data directory @param wanted by the options
   * @throws TroupeError `invalid-config` when they differ
   */
  async agreeOnShards(known: number | undefined, wanted: number | undefined): Promise<number> {
    const { cluster, log } = this.#deps
    const shardCount = known ?? wanted ?? SHARD_COUNT
    const own: Facts = { form: FACTS_FORM, shardCount }
    const outcome = await this.#claim(FACTS_KEY, pack(own))
    if (outcome.isWon) {
      if (known !== undefined) {
        log.error(
          { cluster },
          'the registry knew nothing of this cluster although this node has data of it: NATS may have lost its own',
        )
      }
      return shardCount
    }
    const facts = unpack(outcome.value) as Facts
    if (facts.form !== FACTS_FORM) {
      const why = `the cluster "${cluster}" was made by another version of Troupe (form ${facts.form}; this one knows ${FACTS_FORM})`
      throw new TroupeError('invalid-config', why)
    }
    for (const [whose, count] of [
      ['the data directory of this node has', known],
      ['this node was told of', wanted],
    ] as const) {
      if (count === undefined || count === facts.shardCount) continue
      const why = `the cluster "${cluster}" has ${facts.shardCount} shards, but ${whose} ${count}: the number is fixed when a cluster is made`
      throw new TroupeError('invalid-config', why)
    }
    return facts.shardCount
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
