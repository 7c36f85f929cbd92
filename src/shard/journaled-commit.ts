/**
 * The journaled commit path: slot ∥ tail, then apply.
 *
 * Decides: that a batch is certain when its slot holds it and the own store has flushed it, that
 * the store's rows change only then, and when an owner lets go. Leaves to others: how a shard is
 * taken (taking.ts), who tries to (cluster).
 */
import type { StoreWrite } from '../ports/index.ts'
import { hashBytes, invariant, pack } from '../protocol/index.ts'
import type { CommitOutcome, CommitPath, CommitRequest, TakeOutcome } from './commit.ts'
import type { JournaledCommitDeps, Ownership, Position, TakingOutcome } from './journaled-deps.ts'
import { appliedKey, tailKey } from './keys.ts'
import { SlotReader } from './slot-reader.ts'
import { type Epoch, encodeRecord } from './slot-records.ts'
import { Tail } from './tail.ts'
import { Taking } from './taking.ts'

const OWNER_SILENCE_MS = 30_000

/** What a slot holds, and what becomes true with it. */
interface SlotContent {
  record: Uint8Array
  writes: readonly StoreWrite[]
  /** Told when the slot holds it, whatever the own disk does. */
  written?: () => void
  certain?: (() => void) | undefined
}

const RESET = { kind: 'lost', reset: true } as const

export class JournaledCommit implements CommitPath {
  readonly durability = 'flushed+journaled'
  readonly journaled = true
  readonly #deps: JournaledCommitDeps
  readonly #slots: SlotReader
  /** Once the shard is taken. */
  #owned: Ownership | undefined
  #taking: Taking | undefined
  #acknowledgedAt = 0
  #busy = false
  #stopped = false

  constructor(deps: JournaledCommitDeps) {
    this.#deps = deps
    this.#slots = new SlotReader(deps.shard, deps.journal, deps.clock)
  }

  get epoch(): Epoch | undefined {
    return this.#owned?.epoch
  }

  /** The newest slot that it wrote, as far as it knows. */
  get last(): { slot: number; hash: string } | undefined {
    return this.#owned?.last
  }

  /** What is under way stays unknown: nobody is told of it any more. */
  stop(): void {
    this.#stopped = true
    this.#slots.stop()
    this.#taking?.stop()
  }

  take(done: (outcome: TakeOutcome) => void, claimed: () => void = () => {}): void {
    const { shard, store, log } = this.#deps
    const tail = new Tail(shard, store, log)
    const ended = (outcome: TakingOutcome) => {
      // It holds what it has read, as long as it is held.
      this.#taking = undefined
      if (this.#stopped) return
      if (outcome.kind !== 'taken') return done(outcome)
      const { epoch, last } = outcome
      this.#owned = { epoch, last }
      this.#acknowledged()
      done({ kind: 'taken', nextSlot: last.slot + 1 })
    }
    this.#taking = new Taking(this.#deps, this.#slots, tail, { claimed, done: ended })
    this.#taking.start()
  }

  commit(request: CommitRequest, done: (outcome: CommitOutcome) => void): void {
    const settle = this.#begin(done)
    const { last, epoch } = this.#ownership()
    invariant(request.slot === last.slot + 1, 'a batch takes the slot after the last')
    const { hash: prev, serverId } = last
    const { writes, certain } = request
    const batchId = this.#deps.random.id()
    const record = encodeRecord({ kind: 'batch', prev, serverId, epoch, batchId, writes })
    this.#writeNext({ record, writes, certain }, settle)
  }

  /**
   * The next slot says to whom: nothing of this epoch can follow it. The own disk is not waited for, since
   * nobody is told of anything: whoever claims behind it has it on his disk before he serves.
   */
  release(to: string, done: (outcome: CommitOutcome) => void): void {
    const settle = this.#begin(done)
    const { last, epoch } = this.#ownership()
    const { hash: prev, serverId } = last
    const record = encodeRecord({ kind: 'release', prev, serverId, epoch, to })
    const written = () => settle({ kind: 'committed' })
    this.#writeNext({ record, writes: [], written }, settle)
  }

  #writeNext(content: SlotContent, settle: (outcome: CommitOutcome) => void): void {
    const { last } = this.#ownership()
    const next = { slot: last.slot + 1, ...content }
    const silenceMs = this.#deps.clock.monotonic() - this.#acknowledgedAt
    if (silenceMs < (this.#deps.ownerSilenceMs ?? OWNER_SILENCE_MS)) {
      return this.#commitSlot(next, last, settle)
    }
    // The connection rule: after a long silence nothing is written before the end was read.
    this.#confirmEnd(last, (outcome) => {
      if (outcome.kind === 'committed') this.#commitSlot(next, last, settle)
      else settle(outcome)
    })
  }

  /** A batch that only read: the end of the journal must still be ours. */
  confirm(done: (outcome: CommitOutcome) => void): void {
    const settle = this.#begin(done)
    this.#confirmEnd(this.#ownership().last, settle)
  }

  /** Nobody else writes into this store. */
  whyLost(): undefined {}

  #ownership(): Ownership {
    invariant(this.#owned, 'only an owner commits')
    return this.#owned
  }

  /** One at a time, and every outcome but `committed` is the last. */
  #begin(done: (outcome: CommitOutcome) => void): (outcome: CommitOutcome) => void {
    invariant(!this.#busy, 'one batch is under way at a time')
    this.#busy = true
    return (outcome) => {
      if (this.#stopped) return
      this.#busy = false
      if (outcome.kind !== 'committed') this.stop()
      done(outcome)
    }
  }

  /** Slot and tail at once; the store's rows change when both are known. */
  #commitSlot(
    content: SlotContent & { slot: number },
    { sequence, serverId }: Position,
    settle: (outcome: CommitOutcome) => void,
  ): void {
    const { shard, store, recordBytesMax } = this.#deps
    const { slot, record, writes, certain } = content
    const { epoch } = this.#ownership()
    if (recordBytesMax !== undefined && record.length > recordBytesMax) {
      const why = `a batch of ${record.length} bytes does not fit a slot of ${recordBytesMax}`
      return settle({ kind: 'failed', why })
    }
    let written: number | undefined
    let flushed = false
    const arrived = () => {
      if (this.#stopped || written === undefined || !flushed) return
      const last = { slot, hash: hashBytes(record), sequence: written, serverId }
      this.#owned = { epoch, last }
      this.#apply(writes, last, settle)
      certain?.()
    }
    this.#slots.write({ slot, record, after: { sequence, serverId } }, (outcome) => {
      if (outcome.kind === 'fenced') return this.#fenced(slot, settle)
      if (outcome.kind === 'reset') return settle({ ...RESET, why: outcome.why, unknown: true })
      written = outcome.sequence
      this.#acknowledged()
      content.written?.()
      arrived()
    })
    store.write({
      writes: [[tailKey(shard, slot), record]],
      flushed: () => {
        flushed = true
        arrived()
      },
      // The journal may have the batch, now or later.
      failed: ({ message }) => settle({ kind: 'failed', why: message, unknown: true }),
    })
  }

  #apply(
    writes: readonly StoreWrite[],
    { slot, hash }: Position,
    settle: (outcome: CommitOutcome) => void,
  ): void {
    const { shard, store } = this.#deps
    store.write({
      writes: [...writes, [appliedKey(shard), pack([slot, hash])]],
      // Flushed is not needed: the tail is, and it holds the same.
      visible: () => settle({ kind: 'committed' }),
      failed: ({ message }) => settle({ kind: 'failed', why: message, unknown: true }),
    })
  }

  /** Another owner's record stands in our slot: our tail row must not come back to life. */
  #fenced(slot: number, settle: (outcome: CommitOutcome) => void): void {
    const { shard, store } = this.#deps
    const why = `slot ${slot} holds the record of another owner`
    store.write({
      writes: [[tailKey(shard, slot), null]],
      // On disk before anybody is told that the batch did not happen.
      flushed: () => settle({ kind: 'lost', why }),
      // Still there after a crash, it might be written again: then nobody may have been refused.
      failed: ({ message }) => settle({ kind: 'failed', why: message, unknown: true }),
    })
  }

  #acknowledged(): void {
    this.#acknowledgedAt = this.#deps.clock.monotonic()
  }

  /** In the same copy of the stream, the same end is the same record. */
  #confirmEnd(last: Position, done: (outcome: CommitOutcome) => void): void {
    this.#slots.end((end) => {
      if (end.serverId !== last.serverId || end.lastSlot < last.slot) {
        // Others may have lost more than we did: the shard is taken anew, and that asks them.
        const why = 'the journal may have lost its end; the shard has to be taken again'
        return done({ ...RESET, why })
      }
      if (end.lastSlot > last.slot) {
        const why = `slot ${last.slot + 1} holds the record of another owner`
        return done({ kind: 'lost', why })
      }
      this.#acknowledged()
      done({ kind: 'committed' })
    })
  }
}
