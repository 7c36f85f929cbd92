/**
 * Follows the journal of a shard that another node owns, so that this node can go on with it.
 *
 * Decides: what of the journal this store takes over, and how far behind it is. The journal may lose
 * later what was read here: the raw records are kept for that, and `appliedHash` is compared again
 * with every new copy of the stream. A store that cannot go on begins again with a checkpoint. Leaves to
 * others: whether to follow, which checkpoint (shard/checkpoint-loading.ts), and what follows where the
 * store and the journal have parted and none helps (seat.ts).
 */
import type { Checkpoints, Clock, Journal, Log, Store } from '../ports/index.ts'
import { hashBytes } from '../protocol/index.ts'
import {
  type Applied,
  brokenChain,
  CheckpointLoading,
  followsAnother,
  type KnownEnd,
  ReadTurn,
  type ReadTurns,
  rowsOf,
  SlotReader,
  Tail,
} from '../shard/index.ts'
import { type ClusterLimits, isNearBy } from './limits.ts'

export interface StandbyDeps {
  shard: number
  store: Store
  journal: Journal
  checkpoints: Checkpoints
  clock: Clock
  log: Log
  limits: ClusterLimits
  /** Where there is much to read it waits for its turn. */
  turns: ReadTurns
  /** It is near enough to take over, or is so no more: a leader waits for that. How far it is exactly, beats tell. */
  changed: () => void
  /** The store and the journal do not belong together: it follows no more. */
  parted: (why: string) => void
  /** The disk refused a write. */
  failed: (why: string) => void
}

export class Standby {
  readonly #deps: StandbyDeps
  readonly #slots: SlotReader
  readonly #tail: Tail
  readonly #loading: CheckpointLoading
  readonly #turn: ReadTurn
  #applied: Applied
  /** The copy of the stream that was seen to hold what is applied. */
  #copy: string | undefined
  #lag: number | undefined
  /** Nothing new was found so many times. */
  #idle = 0
  #isWriting = false
  /** Of its next look, or of the patience with the journal. */
  #cancelTimer: (() => void) | undefined
  #stopped: (() => void) | undefined

  constructor(deps: StandbyDeps) {
    this.#deps = deps
    this.#slots = new SlotReader(deps.shard, deps.journal, deps.clock)
    this.#tail = new Tail(deps.shard, deps.store, deps.log)
    this.#applied = this.#tail.applied()
    this.#turn = new ReadTurn(deps.turns, 'follow')
    this.#loading = new CheckpointLoading(deps, this.#slots)
  }

  /** Slots that are not applied, when it was last seen; undefined while that is not known, or known no more. */
  get lag(): number | undefined {
    return this.#lag
  }

  start(): void {
    if (this.#loading.isHalfDone) {
      this.#turn.take(() => this.#loading.clear((failure) => this.#loaded(failure)))
    } else this.#look()
  }

  /** `done` is told when the store has taken what was under way: another may go on from there. */
  stop(done: () => void): void {
    this.#stopped = done
    this.#slots.stop()
    this.#cancelTimer?.()
    this.#loading.stop(() => {
      this.#turn.end()
      if (!this.#isWriting) done()
    })
  }

  #look(): void {
    this.#ask(
      (done) => this.#slots.end(done),
      (end: KnownEnd) => this.#compare(end),
    )
  }

  /** What it was told last says nothing any more when the journal has been silent for long. */
  #ask<T>(question: (done: (answer: T) => void) => void, then: (answer: T) => void): void {
    const { clock, limits } = this.#deps
    const cancel = clock.after(limits.tailRequestMs, () => this.#report(undefined))
    this.#cancelTimer = cancel
    question((answer) => {
      cancel()
      then(answer)
    })
  }

  #loaded(failure?: string): void {
    this.#turn.end()
    if (failure !== undefined) return this.#deps.failed(failure)
    this.#applied = this.#tail.applied()
    this.#copy = undefined
    this.#look()
  }

  /** This store cannot go on from what it has. */
  #load(why: string): void {
    // One that was far is so until it has loaded: who is given shards meanwhile loads more slowly.
    if (isNearBy(this.#lag)) this.#report(undefined)
    this.#turn.take(() =>
      this.#loading.load((outcome) => {
        if (outcome.kind === 'none') this.#part(why)
        else this.#loaded(outcome.kind === 'failed' ? outcome.why : undefined)
      }),
    )
  }

  #compare(end: KnownEnd): void {
    const { slot, hash } = this.#applied
    if (end.serverId === this.#copy || slot === 0) return this.#follow(end)
    const read = (done: (found: { record: Uint8Array } | undefined) => void) =>
      this.#slots.read(slot, done)
    this.#ask(read, (found) => {
      // Its end is lost, or not there yet: whoever takes the shard writes it again.
      if (!found && slot >= end.firstSlot) return this.#unknown()
      // The record behind it names it: that is as good as to compare it.
      const isNamed = !found && slot === end.firstSlot - 1
      if (isNamed || (found && hashBytes(found.record) === hash)) return this.#follow(end)
      const what = found ? 'another record than the one that was applied' : 'nothing any more'
      this.#load(`slot ${slot} holds ${what}`)
    })
  }

  #follow(end: KnownEnd): void {
    this.#copy = end.serverId
    const from = this.#applied.slot + 1
    const lag = end.lastSlot - this.#applied.slot
    // One that was near until now, and can read all in a page, is so again in a moment.
    const wasNear = isNearBy(this.#lag)
    const isShort = isNearBy(lag) || (wasNear && lag <= this.#deps.limits.followCountMax)
    if (lag <= 0 || !wasNear || !isShort) this.#report(lag)
    if (lag <= 0) return this.#again()
    if (from < end.firstSlot) return this.#load(`slots from ${from} on were removed`)
    this.#idle = 0
    if (isShort) this.#read(from, end)
    else this.#turn.take(() => this.#readNow(from, end.serverId))
  }

  /** It has waited for its turn: by now the stream may be another copy. */
  #readNow(from: number, copy: string): void {
    const follow = (end: KnownEnd) => {
      if (end.serverId === copy && end.lastSlot >= from) return this.#read(from, end)
      this.#turn.end()
      this.#compare(end)
    }
    this.#ask((done) => this.#slots.end(done), follow)
  }

  #read(from: number, end: KnownEnd): void {
    const { followCountMax, followBytesMax: bytesMax } = this.#deps.limits
    const to = Math.min(end.lastSlot, from + followCountMax - 1)
    const read = (done: (records: Uint8Array[] | undefined) => void) =>
      this.#slots.readAll({ from, to, bytesMax }, done)
    this.#ask(read, (records) => {
      // Removed meanwhile, or not said by this leader: the end is asked again.
      if (!records) return this.#unknown()
      const problem = brokenChain(this.#applied, records)
      if (problem === undefined) return this.#apply(records, end)
      // A journal that is broken in itself, or not understood, is not made whole by a checkpoint.
      if (followsAnother(this.#applied, records)) this.#load(problem)
      else this.#part(problem)
    })
  }

  #apply(records: readonly Uint8Array[], end: KnownEnd): void {
    const { shard, store, failed } = this.#deps
    const { slot } = this.#applied
    const cleared = this.#tail.clear(slot, records, end.serverId, 'these slots')
    this.#isWriting = true
    store.write({
      writes: [...cleared, ...rowsOf(shard, slot + 1, records)],
      visible: () => {
        this.#isWriting = false
        this.#turn.end()
        if (this.#stopped) return this.#stopped()
        this.#applied = { slot: slot + records.length, hash: hashBytes(records.at(-1)!) }
        this.#report(end.lastSlot - this.#applied.slot)
        this.#look()
      },
      failed: ({ message }) => {
        const wasWriting = this.#isWriting
        this.#isWriting = false
        failed(message)
        if (wasWriting) this.#stopped?.()
      },
    })
  }

  #unknown(): void {
    this.#turn.end()
    this.#copy = undefined
    this.#report(undefined)
    this.#again()
  }

  #report(lag: number | undefined): void {
    const wasNear = isNearBy(this.#lag)
    this.#lag = lag
    if (isNearBy(lag) !== wasNear) this.#deps.changed()
  }

  /** The less there is to follow, the less often it looks. */
  #again(): void {
    const { clock, limits } = this.#deps
    const waitMs = limits.followMs * 2 ** Math.min(this.#idle, FOLLOW_DOUBLINGS_MAX)
    this.#idle += 1
    this.#cancelTimer = clock.after(waitMs, () => this.#look())
  }

  /** The store is left as it is: it follows no more, and nobody is told that it is near. */
  #part(why: string): void {
    const { shard, log, parted } = this.#deps
    this.#turn.end()
    this.#report(undefined)
    log.error({ shard, why }, 'this store and the journal have parted: the shard is not followed')
    parted(why)
  }
}

const FOLLOW_DOUBLINGS_MAX = 2
