/**
 * Loading a checkpoint into a store that cannot go on from what it has.
 *
 * Decides: which one (the newest that is whole and belongs to the journal), what goes (every row that
 * batches wrote), what stays (raw records, for others may need them; those off the chain are set aside),
 * and that a load cut short is recognised
 * and begun again. Leaves to others: when a store cannot go on, and the slots behind the checkpoint
 * (taking.ts, cluster/standby.ts).
 */
import type { Checkpoints, Clock, Log, Store, StoreWrite } from '../ports/index.ts'
import { hashBytes, pack } from '../protocol/index.ts'
import { CheckpointAccess } from './checkpoint-access.ts'
import { type Checkpoint, checkpointRange } from './checkpoint-form.ts'
import { appliedKey, loadingKey, quarantineKey, tailKey } from './keys.ts'
import type { KnownEnd, SlotReader } from './slot-reader.ts'
import { appliedOf, recordOf } from './tail.ts'

/** Rows that go in one transaction. */
const DISCARDED_AT_ONCE = 1_000

export interface CheckpointLoadingDeps {
  shard: number
  store: Store
  checkpoints: Checkpoints
  clock: Clock
  log: Log
}

export type CheckpointLoaded =
  | { kind: 'loaded'; slot: number }
  /** No checkpoint helps. */
  | { kind: 'none' }
  /** The disk refused. */
  | { kind: 'failed'; why: string }

type Done = (outcome: CheckpointLoaded) => void

export class CheckpointLoading {
  readonly #deps: CheckpointLoadingDeps
  readonly #slots: SlotReader
  readonly #access: CheckpointAccess
  /** Each is loaded once: what did not help will not help. */
  readonly #tried = new Set<string>()
  #isWriting = false
  #hasFailed = false
  #stopped: (() => void) | undefined

  constructor(deps: CheckpointLoadingDeps, slots: SlotReader) {
    this.#deps = deps
    this.#slots = slots
    this.#access = new CheckpointAccess(deps.shard, deps.checkpoints, deps.clock)
  }

  /** A load that was cut short has left rows that are no state of any slot. */
  get isHalfDone(): boolean {
    return this.#deps.store.get(loadingKey(this.#deps.shard)) !== undefined
  }

  /** `done` is told when the store has taken what was under way. */
  stop(done: () => void): void {
    this.#stopped = done
    this.#access.stop()
    if (!this.#isWriting) done()
  }

  /** Replaces what the store has of the shard by the newest checkpoint that joins the journal. */
  load(end: KnownEnd, done: Done): void {
    this.#access.list((all) => {
      const wanted = all.filter(({ attempt }) => !this.#tried.has(attempt))
      this.#choose(wanted, end, done)
    })
  }

  /** Nothing is left of the shard then but raw records. */
  clear(done: (failure?: string) => void): void {
    this.#discard(done, () => this.#write([[loadingKey(this.#deps.shard), null]], done, done))
  }

  #choose([checkpoint, ...older]: readonly Checkpoint[], end: KnownEnd, done: Done): void {
    const { shard, log } = this.#deps
    if (!checkpoint) return done({ kind: 'none' })
    const { slot, attempt } = checkpoint
    const without = (why: string) => {
      log.error({ shard, slot, why }, 'a checkpoint is of no use')
      this.#tried.add(attempt)
      this.#choose(older, end, done)
    }
    this.#joins(checkpoint, end, (joins) => {
      if (!joins) return without('it belongs to another chain of records')
      // Read through before anything goes: a store that has parted is better than none.
      this.#access.verify(checkpoint, (problem) => {
        if (problem !== undefined) return without(problem)
        this.#tried.add(attempt)
        const failed = (failure: string) => done({ kind: 'failed', why: failure })
        this.#setAside(end, failed, () => this.#replace(checkpoint, end, done))
      })
    })
  }

  /** By the record in its slot, or by the next one when that is gone. */
  #joins({ slot, hash }: Checkpoint, end: KnownEnd, done: (joins: boolean) => void): void {
    // The journal has lost its end: whoever takes the shard asks for it, or says that it is gone.
    if (slot > end.lastSlot) return done(true)
    this.#slots.read(Math.max(slot, end.firstSlot), (found) => {
      if (!found) return done(false)
      const bytes = found.record
      done(
        slot < end.firstSlot ? recordOf({ slot, bytes })?.prev === hash : hashBytes(bytes) === hash,
      )
    })
  }

  /** Back from what was applied, the records that the journal does not hold. */
  #setAside(end: KnownEnd, failed: (why: string) => void, next: () => void): void {
    const { shard, store, log } = this.#deps
    const slots: number[] = []
    const writes: StoreWrite[] = []
    const finish = () => {
      if (slots.length === 0) return next()
      log.error({ shard, slots }, 'records of this store are off the chain: they are set aside')
      this.#write(writes, failed, next)
    }
    const lookAt = (slot: number) => {
      const key = tailKey(shard, slot)
      const row = slot < end.firstSlot ? undefined : store.get(key)
      if (!row) return finish()
      this.#slots.read(slot, (found) => {
        if (!found || Buffer.compare(found.record, row) === 0) return finish()
        slots.unshift(slot)
        writes.push([key, null], [quarantineKey(shard, slot, hashBytes(row)), row])
        lookAt(slot - 1)
      })
    }
    const { slot: applied } = appliedOf(store.get(appliedKey(shard)))
    lookAt(Math.min(applied, end.lastSlot))
  }

  #replace(checkpoint: Checkpoint, end: KnownEnd, done: Done): void {
    const { shard, log } = this.#deps
    const { slot, hash, chunks, rows } = checkpoint
    const failed = (why: string) => done({ kind: 'failed', why })
    log.warn({ shard, slot, chunks, rows }, 'a checkpoint is loaded in place of what the store has')
    this.#discard(failed, () =>
      this.#access.read(
        checkpoint,
        (found, next) => {
          const writes = found.map(({ key, value }): StoreWrite => [key, value])
          this.#write(writes, failed, next)
        },
        (problem) => {
          // Removed since it was read through, as a newer one may be there by now.
          if (problem !== undefined) return this.load(end, done)
          const whole: StoreWrite[] = [
            [appliedKey(shard), pack([slot, hash])],
            [loadingKey(shard), null],
          ]
          this.#write(whole, failed, () => done({ kind: 'loaded', slot }))
        },
      ),
    )
  }

  /** Marked first: what is left of the rows in between is no state of any slot. */
  #discard(failed: (why: string) => void, next: () => void): void {
    const { shard } = this.#deps
    const marker: StoreWrite[] = [
      [loadingKey(shard), pack(true)],
      [appliedKey(shard), null],
    ]
    this.#write(marker, failed, () => this.#discardRows(failed, next))
  }

  #discardRows(failed: (why: string) => void, next: () => void): void {
    const { shard, store } = this.#deps
    const range = { ...checkpointRange(shard), limit: DISCARDED_AT_ONCE }
    const writes = [...store.range(range)].map(({ key }): StoreWrite => [key, null])
    if (writes.length === 0) return next()
    this.#write(writes, failed, () => this.#discardRows(failed, next))
  }

  /** A failure is told once, be it of the write or of its flush. */
  #write(writes: readonly StoreWrite[], failed: (why: string) => void, next: () => void): void {
    let isVisible = false
    this.#isWriting = true
    const ended = () => {
      isVisible = true
      this.#isWriting = false
      this.#stopped?.()
    }
    this.#deps.store.write({
      writes,
      visible: () => {
        ended()
        if (!this.#stopped && !this.#hasFailed) next()
      },
      failed: ({ message }) => {
        if (!isVisible) ended()
        if (this.#stopped || this.#hasFailed) return
        this.#hasFailed = true
        failed(message)
      },
    })
  }
}
