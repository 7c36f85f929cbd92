/**
 * Loading a checkpoint into a store that cannot go on from what it has.
 *
 * Decides: which one (the newest that is whole and belongs to the journal), what goes (every row that
 * batches wrote), what stays (raw records, for others may need them; those off the chain are set aside),
 * that a checkpoint is read through before it takes the place of anything, and that a load cut short is
 * recognised and begun again. Leaves to others: when a store cannot go on, and the slots behind the
 * checkpoint (taking.ts, cluster/standby.ts).
 */
import type { Checkpoints, Clock, Log, Store, StoreWrite } from '../ports/index.ts'
import { hashBytes, pack } from '../protocol/index.ts'
import { CheckpointAccess } from './checkpoint-access.ts'
import { type Checkpoint, checkpointRange } from './checkpoint-form.ts'
import { placeOf } from './checkpoint-place.ts'
import { appliedKey, loadingKey, quarantineKey, slotOfTailKey, tailKey } from './keys.ts'
import { writesOf } from './row-run.ts'
import type { KnownEnd, SlotReader } from './slot-reader.ts'
import { recordOf } from './tail.ts'

/** Rows that go in one transaction; each of them is read for its key. */
const DISCARDED_AT_ONCE = 1_000
const DISCARDED_BYTES_MAX = 4 * 1024 * 1024

/** The journal is asked again about a slot that it should have so often, and after so long. */
const WAITS_MAX = 10
const WAIT_MS = 200

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
  #waits = 0
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
  load(done: Done): void {
    this.#access.list((all) =>
      this.#slots.end((end) => {
        const wanted = all.filter(({ attempt }) => !this.#tried.has(attempt))
        if (wanted.length === 0) done({ kind: 'none' })
        else this.#choose(wanted, end, done)
      }),
    )
  }

  /** The slot of the newest checkpoint there is, if any, whatever it is worth, and whoever can read it. */
  newest(done: (slot: number | undefined) => void): void {
    this.#access.slots(([newest]) => done(newest))
  }

  /** Nothing is left of the shard then but raw records. */
  clear(done: (failure?: string) => void): void {
    this.#discard(done, () => this.#write([[loadingKey(this.#deps.shard), null]], done, done))
  }

  #choose([checkpoint, ...older]: readonly Checkpoint[], end: KnownEnd, done: Done): void {
    const { shard, log } = this.#deps
    // Others may have been recorded in place of these meanwhile.
    if (!checkpoint) return this.load(done)
    const { slot, attempt } = checkpoint
    const without = (why: string) => {
      log.error({ shard, slot, why }, 'a checkpoint is of no use')
      this.#tried.add(attempt)
      this.#choose(older, end, done)
    }
    this.#judge(checkpoint, end, (verdict) => {
      if (verdict === 'unclear') return this.#waitAndLoad(done)
      if (verdict !== 'joins') return without(verdict)
      const replace = () => {
        this.#tried.add(attempt)
        const failed = (failure: string) => done({ kind: 'failed', why: failure })
        this.#setAside(end, failed, () => this.#replace(checkpoint, done))
      }
      if (this.#hasNothing()) return replace()
      // Read through before anything goes: a store that has parted is better than none.
      this.#access.verify(checkpoint, (problem) => {
        if (problem === undefined) replace()
        else without(problem)
      })
    })
  }

  #hasNothing(): boolean {
    const { shard, store } = this.#deps
    const [row] = store.range({ ...checkpointRange(shard), limit: 1 })
    return row === undefined
  }

  /** Tells `joins`, `unclear`, or what is wrong. */
  #judge(checkpoint: Checkpoint, end: KnownEnd, tell: (verdict: string) => void): void {
    const { slot } = checkpoint
    placeOf(this.#slots, checkpoint, (place) => {
      if (place === 'on the chain') return tell('joins')
      if (place === 'off the chain') return tell('it belongs to another chain of records')
      const unclear = () =>
        tell(this.#waits < WAITS_MAX ? 'unclear' : 'the journal denies its slot')
      // A leader that was deposed says so for a moment.
      if (slot <= end.lastSlot) return unclear()
      this.#mayHaveLost(end, (may) => {
        // Whoever takes the shard asks others for what is lost, or says that it is gone.
        if (may) tell('joins')
        // Its slot is not written yet, or will hold another record; or the end was that of a deposed leader.
        else unclear()
      })
    })
  }

  /** Not if the newest record was written to the present copy of the stream: that is after any loss. */
  #mayHaveLost({ lastSlot: slot, serverId }: KnownEnd, done: (may: boolean) => void): void {
    this.#slots.read(slot, (found) => {
      const record = found && recordOf({ slot, bytes: found.record })
      // Gone between two questions: it is asked again.
      done(found !== undefined && record?.serverId !== serverId)
    })
  }

  #waitAndLoad(done: Done): void {
    this.#waits += 1
    this.#deps.clock.after(WAIT_MS, () => {
      if (!this.#stopped) this.load(done)
    })
  }

  /** From the newest that the journal could hold back to one that it does, the records of others. */
  #setAside(end: KnownEnd, failed: (why: string) => void, next: () => void): void {
    const { shard, store, log } = this.#deps
    const slots: number[] = []
    const finish = () => {
      if (slots.length > 0) {
        log.error({ shard, slots }, 'records of this store are off the chain: they are set aside')
      }
      next()
    }
    const lookBelow = (below: number) => {
      const range = { from: tailKey(shard, end.firstSlot), to: tailKey(shard, below) }
      const [row] = store.range({ ...range, reverse: true, limit: 1 })
      if (!row) return finish()
      const { key, value } = row
      const slot = slotOfTailKey(key)
      this.#slots.read(slot, (found) => {
        if (!found || Buffer.compare(found.record, value) === 0) return finish()
        slots.unshift(slot)
        const aside: StoreWrite = [quarantineKey(shard, slot, hashBytes(value)), value]
        this.#write([[key, null], aside], failed, () => lookBelow(slot))
      })
    }
    lookBelow(end.lastSlot + 1)
  }

  #replace(checkpoint: Checkpoint, done: Done): void {
    const { shard, log } = this.#deps
    const { slot, hash, chunks, rows } = checkpoint
    const failed = (why: string) => done({ kind: 'failed', why })
    log.warn({ shard, slot, chunks, rows }, 'a checkpoint is loaded in place of what the store has')
    this.#discard(failed, () =>
      this.#access.read(
        checkpoint,
        (found, next) => {
          this.#write(writesOf(found), failed, next)
        },
        (problem) => {
          if (problem !== undefined) {
            // Never whole, or removed since it was read through, as a newer one may be there by now.
            log.error({ shard, slot, why: problem }, 'a checkpoint is of no use')
            return this.load(done)
          }
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
    const writes: StoreWrite[] = []
    let bytes = 0
    for (const { key, value } of store.range(checkpointRange(shard))) {
      writes.push([key, null])
      bytes += value.length
      if (writes.length === DISCARDED_AT_ONCE || bytes >= DISCARDED_BYTES_MAX) break
    }
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
