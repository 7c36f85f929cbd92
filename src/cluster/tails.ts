/**
 * The tails of other members, for a journal that may have lost its end: asking for them, and giving
 * them.
 *
 * Decides: who has to answer (all members of the view that the registry has by now, who was named owner
 * before and may have written since, and whom the taker knows to have claimed), that silence is waited
 * out, and that a member lets go of the shard before it answers. Leaves to others: which chain wins
 * (taking.ts in shard/).
 */
import type { Clock, Log, Store, Subscription, Transport } from '../ports/index.ts'
import { pack, type Subjects, unpack } from '../protocol/index.ts'
import { nodeKey, type OtherTail, type OtherTails, Tail, type TailRequest } from '../shard/index.ts'
import type { ClusterLimits } from './limits.ts'
import { isCount } from './view.ts'
import type { Views } from './views.ts'

export interface TailsDeps {
  name: string
  shardCount: number
  clock: Clock
  log: Log
  store: Store
  transport: Transport
  subjects: Subjects
  limits: ClusterLimits
  views: Views
  /** Lets go of a shard for a taker that is named by this view. */
  yieldTo: (shard: number, viewNumber: number) => void
  failed: (why: string) => void
}

/**
 * Written only to be told when everything before it is on disk: a row that is handed over and then lost
 * with a crash breaks P1 when the journal loses its end twice (test/model, ANSWER_BEFORE_FLUSH).
 */
const BARRIER_KEY = nodeKey('barrier')

type Answer = { kind: 'stale'; viewNumber: number } | ({ kind: 'rows'; isLast: boolean } & Kept)
type Kept = Pick<OtherTail, 'applied' | 'rows'>

export class Tails implements OtherTails {
  readonly #deps: TailsDeps
  readonly #asking = new Set<Collection>()
  #subscription: Subscription | undefined
  #stopped = false

  constructor(deps: TailsDeps) {
    this.#deps = deps
  }

  start(): void {
    const { transport, subjects, name } = this.#deps
    this.#subscription = transport.subscribe(subjects.tail(name), {}, ({ payload, reply }) => {
      if (reply && !this.#stopped) this.#give(payload, reply)
    })
  }

  stop(): void {
    this.#stopped = true
    this.#subscription?.unsubscribe()
    for (const collection of [...this.#asking]) collection.stop()
  }

  collect(
    request: TailRequest,
    done: (tails: OtherTail[], givenUp: readonly string[]) => void,
  ): { stop(): void } {
    const collection = new Collection(this.#deps, request, (collected) => {
      this.#asking.delete(collection)
      if (collected) done(collected.tails, collected.givenUp)
    })
    this.#asking.add(collection)
    collection.start()
    return collection
  }

  /** Who is waited for, by shard. */
  waitsFor(shard: number): string[] {
    return [...this.#asking].filter((one) => one.shard === shard).flatMap((one) => one.missing())
  }

  /** The shards that wait for this node now go on without what only it may have. */
  giveUp(node: string): number[] {
    const given = [...this.#asking].filter((one) => one.missing().includes(node))
    const shards = given.map(({ shard }) => shard)
    this.#deps.log.error(
      { node, shards },
      'an operator has given up the records of a node: what only it has is lost to these shards',
    )
    for (const collection of given) collection.giveUp(node)
    return shards
  }

  #give(payload: Uint8Array, reply: (payload: Uint8Array) => void): void {
    const { shardCount, views, store, yieldTo, failed, log } = this.#deps
    const [shard, from, viewNumber] = decodeList(payload)
    if (!isCount(shard) || shard >= shardCount || !isCount(from) || !isCount(viewNumber)) {
      return log.warn({}, 'a request for a tail cannot be read')
    }
    // Whoever asks is not named any more, or does not know yet that it still is.
    if (views.number > viewNumber) return reply(pack(['stale', views.number]))
    yieldTo(shard, viewNumber)
    store.write({
      writes: [[BARRIER_KEY, pack(viewNumber)]],
      flushed: () => {
        if (!this.#stopped) reply(this.#rows(shard, from))
      },
      failed: ({ message }) => failed(message),
    })
  }

  #rows(shard: number, from: number): Uint8Array {
    const { store, log, limits } = this.#deps
    const tail = new Tail(shard, store, log)
    const rows: [slot: number, bytes: Uint8Array][] = []
    let bytes = 0
    let isLast = true
    for (const row of tail.after(from - 1)) {
      if (rows.length > 0 && bytes + row.bytes.length > limits.tailBytesMax) {
        isLast = false
        break
      }
      rows.push([row.slot, row.bytes])
      bytes += row.bytes.length
    }
    return pack(['rows', tail.applied().slot, rows, isLast])
  }
}

interface Collected {
  tails: OtherTail[]
  givenUp: string[]
}

/** One shard that waits for the tails of others. */
class Collection {
  readonly shard: number
  readonly #deps: TailsDeps
  readonly #from: number
  readonly #claimants: readonly string[]
  readonly #heard: ReadonlySet<string>
  readonly #done: (collected: Collected | undefined) => void
  readonly #answered = new Map<string, OtherTail>()
  readonly #asked = new Set<string>()
  readonly #givenUp = new Set<string>()
  #cancelLog: (() => void) | undefined
  #isViewRead = false
  #ended = false

  constructor(
    deps: TailsDeps,
    { shard, from, claimants, heard }: TailRequest,
    done: (collected: Collected | undefined) => void,
  ) {
    this.shard = shard
    this.#from = from
    this.#claimants = claimants
    this.#heard = new Set([...heard, deps.name])
    this.#deps = deps
    this.#done = done
  }

  start(): void {
    this.#planLog()
    // Whoever wrote what is lost claimed by a view that the registry had by then, and may be in no older one.
    this.#deps.views.read(() => {
      this.#isViewRead = true
      this.#goOn()
    })
  }

  stop(): void {
    if (this.#ended) return
    this.#end(undefined)
  }

  giveUp(node: string): void {
    this.#givenUp.add(node)
    this.#goOn()
  }

  /** By the view of now: it may have changed since the first was asked. */
  missing(): string[] {
    const { view } = this.#deps.views
    const members = view?.members.map((one) => one.name) ?? []
    const former = view?.former[this.shard]?.map((one) => one.name) ?? []
    return [...new Set([...members, ...former, ...this.#claimants])].filter(
      (one) => !this.#heard.has(one) && !this.#answered.has(one) && !this.#givenUp.has(one),
    )
  }

  #goOn(): void {
    if (this.#ended || !this.#isViewRead) return
    const missing = this.missing()
    if (missing.length === 0) return this.#deps.clock.defer(() => this.#finish())
    for (const node of missing) {
      if (this.#asked.has(node)) continue
      this.#asked.add(node)
      this.#ask(node, this.#from, [])
    }
  }

  #finish(): void {
    if (this.#ended) return
    if (this.missing().length > 0) return this.#goOn()
    // One that has answered after all is missed by nobody.
    const givenUp = [...this.#givenUp].filter((node) => !this.#answered.has(node))
    this.#end({ tails: [...this.#answered.values()], givenUp })
  }

  #end(collected: Collected | undefined): void {
    this.#ended = true
    this.#cancelLog?.()
    this.#done(collected)
  }

  /** Page by page; silence is asked again, for as long as it takes. */
  #ask(node: string, from: number, before: readonly OtherTail['rows'][number][]): void {
    const { transport, subjects, limits, views, clock } = this.#deps
    const subject = subjects.tail(node)
    const payload = pack([this.shard, from, views.number])
    transport.request({ subject, payload, timeoutMs: limits.tailRequestMs }, (outcome) => {
      if (this.#ended) return
      const answer = outcome.kind === 'reply' ? decodeAnswer(outcome.payload) : undefined
      if (answer?.kind !== 'rows') {
        // A newer view than ours: the next request is made under it, or this node is no longer named.
        if (answer) views.read()
        clock.after(limits.tailRetryMs, () => {
          // It may have left the view and come back meanwhile.
          this.#asked.delete(node)
          this.#goOn()
        })
        return
      }
      const rows = [...before, ...answer.rows]
      const last = rows.at(-1)
      if (!answer.isLast && last) return this.#ask(node, last.slot + 1, rows)
      this.#answered.set(node, { node, applied: answer.applied, rows })
      this.#goOn()
    })
  }

  #planLog(): void {
    const { clock, limits, log } = this.#deps
    this.#cancelLog = clock.after(limits.tailLogMs, () => {
      log.warn(
        { shard: this.shard, missing: this.missing() },
        'the journal may have lost its end: a shard waits for what other nodes have kept of it',
      )
      this.#planLog()
    })
  }
}

function decodeAnswer(payload: Uint8Array): Answer | undefined {
  const [kind, number, rows, isLast] = decodeList(payload)
  if (!isCount(number)) return undefined
  if (kind === 'stale') return { kind, viewNumber: number }
  if (kind !== 'rows' || !Array.isArray(rows)) return undefined
  const read = rows.map((row: unknown) => {
    const [slot, bytes] = Array.isArray(row) ? (row as unknown[]) : []
    return isCount(slot) && bytes instanceof Uint8Array ? { slot, bytes } : undefined
  })
  const isWhole = read.every((row) => row !== undefined)
  return isWhole ? { kind, applied: number, rows: read, isLast: isLast === true } : undefined
}

function decodeList(payload: Uint8Array): unknown[] {
  try {
    const fields = unpack(payload)
    return Array.isArray(fields) ? fields : []
  } catch {
    return []
  }
}
