/**
 * Taking a shard: read to the end, write again what the journal lost, claim, apply, then serve.
 *
 * Decides: when a store and a journal belong together, when a checkpoint takes the store's place, and
 * that of the newest records nothing is applied or kept before the claim behind them has won; what is
 * further behind is followed first, as a standby would. Leaves to others: who tries
 * to take (cluster), who has to be asked for a tail (witnesses.ts), which checkpoint (checkpoint-loading.ts).
 */
import { hashBytes, invariant } from '../protocol/index.ts'
import { CheckpointLoading } from './checkpoint-loading.ts'
import type { JournaledCommitDeps, Ownership, TakingListener } from './journaled-deps.ts'
import { generationsIn, generationsOf, newGeneration } from './lineage.ts'
import { lostChain } from './lost-chain.ts'
import { ReadTurn } from './read-turns.ts'
import { Retries } from './retries.ts'
import { type KnownEnd, NEAR_SLOTS, READ_BYTES_MAX, type SlotReader } from './slot-reader.ts'
import { encodeRecord, GENESIS_HASH, readRecord } from './slot-records.ts'
import {
  type Applied,
  brokenChain,
  followsAnother,
  headOrWhyNot,
  rowsOf,
  type Tail,
  type TailRow,
} from './tail.ts'
import { Witnesses } from './witnesses.ts'

/** Records in one transaction of the store; so many at most, and the claim, are held in memory. */
const APPLIED_AT_ONCE = 256

/** A slot that is missing is asked for again so often, and after so long. */
const GAPS_MAX = 10
const GAP_AGAIN = { firstMs: 200, maxMs: 200 }

/** A message that is gone leaves nothing but its sequence: whether it was a slot cannot be known any more. */
const WAS_EMPTIED =
  'the journal was emptied: it holds no slot, but held something. If nothing was ever kept in this shard, and only what no node wrote was removed (the logs of its nodes say so), remove its stream; else put the journal back from a backup'

export class Taking {
  readonly #deps: JournaledCommitDeps
  readonly #slots: SlotReader
  readonly #tail: Tail
  readonly #witnesses: Witnesses
  readonly #claimed: () => void
  readonly #done: TakingListener['done']
  readonly #loading: CheckpointLoading | undefined
  readonly #turn: ReadTurn
  readonly #again: Retries
  #applied: Applied
  /** Of the slots behind `applied`; they do not change while the copy of the stream is the same. */
  #records: Uint8Array[] = []
  #copy = ''
  /** Up to the end as it was seen last, one or more. */
  #newest: Uint8Array[] = []
  #stopped = false
  /** Slots that were said to be there and not to be there. */
  #gaps = 0

  constructor(
    deps: JournaledCommitDeps,
    slots: SlotReader,
    tail: Tail,
    { claimed, done }: TakingListener,
  ) {
    this.#deps = deps
    this.#slots = slots
    this.#tail = tail
    this.#witnesses = new Witnesses({ ...deps, slots, tail })
    this.#turn = new ReadTurn(deps.turns, 'serve')
    this.#again = new Retries(deps.clock, GAP_AGAIN)
    this.#claimed = claimed
    this.#done = (outcome) => {
      this.#turn.end()
      done(outcome)
    }
    this.#applied = tail.applied()
    const { checkpoints } = deps
    this.#loading = checkpoints && new CheckpointLoading({ ...deps, checkpoints }, slots)
  }

  stop(): void {
    this.#stopped = true
    this.#again.stop()
    this.#witnesses.stop()
    this.#turn.end()
    this.#loading?.stop(() => {})
  }

  /** The last slot whose record it has, applied or in hand. */
  get #readTo(): number {
    return this.#applied.slot + this.#records.length
  }

  start(): void {
    if (this.#loading?.isHalfDone) this.#loading.clear((failure) => this.#loaded(failure))
    else this.run()
  }

  /** From the beginning, or again after somebody else has written. */
  run(): void {
    this.#slots.end((end) => {
      this.#newest = []
      if (end.serverId !== this.#copy || end.lastSlot < this.#readTo) this.#records = []
      this.#copy = end.serverId
      if (end.lastSlot === 0 && end.lastSequence > 0) {
        return this.#part(WAS_EMPTIED)
      }
      if (end.lastSlot === 0) return this.#compare(end, undefined)
      this.#slots.newest(this.#readTo + 1, end, (records) => {
        this.#newest = records
        const newest = records.at(-1)
        // Lost between two questions.
        if (!newest)
          return this.#askAgain(`slot ${end.lastSlot} ends the journal, and is not in it`)
        this.#compare(end, newest)
      })
    })
  }

  /** Others may have kept what neither the journal nor this store has: then all are waited for. */
  #compare(end: KnownEnd, newest: Uint8Array | undefined): void {
    this.#witnesses.ask(end, newest, (how) => {
      if (how === 'heard') this.run()
      else this.#join(end, newest)
    })
  }

  /** What the journal has lost is written again. */
  #join(end: KnownEnd, newest: Uint8Array | undefined): void {
    const hash = newest ? hashBytes(newest) : GENESIS_HASH
    const applied = this.#applied.slot
    const own = { applied, rows: this.#tail.after(end.lastSlot) }
    const others = this.#witnesses.of(end)?.tails ?? []
    const { lastSlot: slot, serverId } = end
    const chain = lostChain([own, ...others], { slot, hash, serverId })
    if (applied > end.lastSlot + chain.length) {
      const rows = [...this.#tail.after(end.lastSlot)].map(({ slot }) => slot)
      return this.#part(
        `the journal ends at slot ${end.lastSlot}, this store has applied slot ${applied}, and what it kept of them does not join`,
        rows,
      )
    }
    if (chain.length > 0) this.#refill(chain, end)
    else this.#checkNamed(end, newest)
  }

  /**
   * No duels: an owner is deposed only by a node that a newer view names, or by its own next life.
   * A lost race comes back here as well.
   */
  #checkNamed(end: KnownEnd, newest: Uint8Array | undefined): void {
    const { node, viewVersion } = this.#deps
    const slot = end.lastSlot
    const record = newest && headOrWhyNot({ slot, bytes: newest })
    if (typeof record === 'string') return this.#part(record)
    if (!record) return this.#read(end, newest)
    this.#witnesses.claimOf(slot, record, (claim) => {
      const isFree = !claim || claim.node === node || claim.viewVersion < viewVersion
      if (isFree) return this.#read(end, newest)
      // Nobody owns what was released; but an older view names nobody any more.
      if (record.kind === 'release' && claim.viewVersion === viewVersion)
        return this.#read(end, newest)
      const why = `${claim.node} owns the shard by view ${claim.viewVersion}; ours is ${viewVersion}`
      this.#done({ kind: 'lost', why })
    })
  }

  /** The journal acknowledges before it syncs: what it lost at its end is written again from here. */
  #refill(chain: readonly TailRow[], end: KnownEnd): void {
    const { shard, log } = this.#deps
    log.error(
      { shard, from: end.lastSlot + 1, to: chain.at(-1)?.slot, serverId: end.serverId },
      'the journal is shorter than this store remembers: its end is written again',
    )
    this.#writeAgain(chain.values(), end.lastSequence, end.serverId)
  }

  #writeAgain(chain: IterableIterator<TailRow>, sequence: number, serverId: string): void {
    const { value: row } = chain.next()
    if (!row) return this.run()
    const write = { slot: row.slot, record: row.bytes, after: { sequence, serverId } }
    this.#slots.write(write, (outcome) => {
      if (outcome.kind === 'written') this.#writeAgain(chain, outcome.sequence, serverId)
      // Somebody else goes on from there, or more was lost: look again.
      else this.run()
    })
  }

  #read(end: KnownEnd, newest: Uint8Array | undefined): void {
    const { slot, hash } = this.#applied
    if (slot === 0 && end.lastSlot === 0) return this.#begin(end)
    // What stands behind it names it: that is as good as to compare it.
    if (slot < end.lastSlot || (newest && hashBytes(newest) === hash)) return this.#readOn(end)
    this.#loadAnew()
  }

  /** What was applied here is not what the journal holds. */
  #loadAnew(): void {
    const { slot } = this.#applied
    const rows = [...this.#tail.after(slot - 1)].map((row) => row.slot)
    this.#load(`slot ${slot} holds another record than the one that this store applied`, rows)
  }

  /** A shard of which there is nothing: it is new, or its journal is gone as a whole. */
  #begin(end: KnownEnd): void {
    const witness = this.#witnesses.of(end)?.tails.find(({ applied }) => applied > 0)
    if (witness) {
      const { node, applied } = witness
      return this.#part(`the journal is empty, but ${node} has applied slot ${applied} of it`)
    }
    if (!this.#loading) return this.#readOn(end)
    this.#loading.newest((slot) => {
      if (slot === undefined) this.#readOn(end)
      else this.#part(`the journal is empty, but there is a checkpoint of slot ${slot}`)
    })
  }

  /** What comes behind what was applied is removed from the journal, or not there yet. */
  #meetGap(slot: number, seen: KnownEnd): void {
    this.#slots.end((end) => {
      // What was lost in between is to be asked for.
      if (end.serverId !== seen.serverId) return this.run()
      const why = `slots from ${slot} on were removed, and no checkpoint covers them`
      if (slot < end.firstSlot) return this.#load(why)
      this.#askAgain(`not all slots from ${slot} on are in the journal, which begins before`)
    })
  }

  /** A leader that was deposed says so for a moment. @param why nothing is left but to part then */
  #askAgain(why: string): void {
    if (this.#gaps === GAPS_MAX) return this.#part(why)
    this.#again.again(this.#gaps, () => this.run())
    this.#gaps += 1
  }

  #readOn(end: KnownEnd): void {
    const behind = end.lastSlot - this.#applied.slot - this.#records.length
    if (behind <= NEAR_SLOTS) this.#readPage(end)
    else this.#turn.take(() => this.#readPage(end))
  }

  #readPage(end: KnownEnd): void {
    const from = this.#readTo + 1
    if (from + this.#newest.length === end.lastSlot + 1) return this.#goOn(this.#newest, end)
    const to = Math.min(end.lastSlot, this.#applied.slot + APPLIED_AT_ONCE)
    this.#slots.readAll({ from, to, bytesMax: READ_BYTES_MAX }, (records) => {
      if (!records) return this.#meetGap(from, end)
      this.#goOn(records, end)
    })
  }

  #goOn(records: readonly Uint8Array[], end: KnownEnd): void {
    this.#records.push(...records)
    const problem = brokenChain(this.#applied, this.#records)
    if (problem === undefined) {
      return this.#readTo < end.lastSlot ? this.#follow(end) : this.#claim(end)
    }
    // A journal that is broken in itself, or not understood, is not made whole by a checkpoint.
    if (followsAnother(this.#applied, this.#records)) this.#loadAnew()
    else this.#part(problem)
  }

  /** More is behind than is held in memory: it is applied as a standby does it, whoever will own the shard. */
  #follow(end: KnownEnd): void {
    const { shard, store } = this.#deps
    const { slot } = this.#applied
    const cleared = this.#tail.clear(slot, this.#records, end.serverId, 'these slots')
    store.write({
      writes: [...cleared, ...rowsOf(shard, slot + 1, this.#records)],
      visible: () => {
        if (this.#stopped) return
        this.#applied = this.#tail.applied()
        this.#records = []
        this.#readOn(end)
      },
      failed: ({ message }) => this.#done({ kind: 'failed', why: message }),
    })
  }

  /** This store cannot go on from what it has: a checkpoint takes its place, if one helps. */
  #load(why: string, offChain: readonly number[] = []): void {
    const loading = this.#loading
    if (!loading) return this.#part(why, offChain)
    this.#turn.take(() =>
      loading.load((outcome) => {
        if (outcome.kind === 'none') this.#part(why, offChain)
        else this.#loaded(outcome.kind === 'failed' ? outcome.why : undefined)
      }),
    )
  }

  #loaded(failure?: string): void {
    if (failure !== undefined) return this.#done({ kind: 'failed', why: failure })
    this.#applied = this.#tail.applied()
    this.#records = []
    this.run()
  }

  #claim(end: KnownEnd): void {
    const { shard, node, viewVersion, random, log } = this.#deps
    const newest = this.#records.at(-1)
    const slot = end.lastSlot + 1
    invariant(
      slot === this.#applied.slot + this.#records.length + 1,
      'a claim stands behind everything that was read',
    )
    const newestId = newest && readRecord(newest).head.serverId
    if (newestId !== undefined && newestId !== end.serverId && !this.#witnesses.of(end)) {
      log.warn({ shard, slot }, 'the journal may have lost its end; no other member was asked')
    }
    const claimId = random.id()
    const { serverId } = end
    const prev = newest ? hashBytes(newest) : this.#applied.hash
    const givenUp = this.#givenUp(end)
    const generation = givenUp.length > 0 ? this.#newGeneration() : undefined
    const record = encodeRecord({
      ...{ kind: 'claim', prev, serverId, node, claimId, viewVersion },
      ...(generation !== undefined && { generation }),
    })
    const write = { slot, record, after: { sequence: end.lastSequence, serverId } }
    this.#slots.write(write, (outcome) => {
      // Somebody else was faster, or the journal is not what it was: look again.
      if (outcome.kind !== 'written') return this.run()
      if (generation !== undefined) this.#sayGap(slot, generation, givenUp)
      this.#records.push(record)
      const last = { slot, hash: hashBytes(record), sequence: outcome.sequence, serverId }
      this.#claimed()
      if (!this.#stopped) this.#keep({ epoch: { slot, claimId }, last })
    })
  }

  /** It goes on without records that may be nowhere but with nodes that were given up. */
  #givenUp(end: KnownEnd): readonly string[] {
    return this.#witnesses.of(end)?.givenUp ?? []
  }

  /** Stands in the claim, so that whoever has the shard later knows of it. */
  #newGeneration(): number {
    const { shard, store, random } = this.#deps
    const read = generationsIn(rowsOf(shard, this.#applied.slot + 1, this.#records))
    return newGeneration([...generationsOf(shard, store), ...read], random)
  }

  #sayGap(slot: number, generation: number, givenUp: readonly string[]): void {
    const { shard, log } = this.#deps
    log.error(
      { shard, slot, generation, givenUp },
      'a shard goes on without the records of nodes that were given up: what was acknowledged before this slot may be lost, and its channels to other shards begin anew',
    )
  }

  /** Only now: a claim that won makes all slots before it final. Earlier, a kept record is poison. */
  #keep(ownership: Ownership): void {
    const { shard, store } = this.#deps
    const applied = this.#applied.slot
    const { serverId } = ownership.last
    const cleared = this.#tail.clear(applied, this.#records, serverId)
    store.write({
      writes: [...cleared, ...rowsOf(shard, applied + 1, this.#records)],
      flushed: () => this.#done({ kind: 'taken', ...ownership }),
      failed: ({ message }) => this.#done({ kind: 'failed', why: message }),
    })
  }

  /** The store is left as it is. */
  #part(why: string, offChain: readonly number[] = []): void {
    const { shard, log, parted } = this.#deps
    log.error({ shard, why, slots: offChain }, 'a shard cannot be taken with this store')
    parted?.(why)
    this.#done({ kind: parted ? 'lost' : 'failed', why })
  }
}
