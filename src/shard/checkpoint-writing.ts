/**
 * Writing a checkpoint of a shard from this node's store.
 *
 * Decides: what makes it true: it is read in one snapshot, and its slot holds the record that this store
 * applied. Leaves to others: its chunks (checkpoint-chunks.ts), who writes one, and when
 * (cluster/checkpoints.ts).
 */
import type { Checkpoints, Clock, Journal, Random, Store, StoreSnapshot } from '../ports/index.ts'
import { hashBytes } from '../protocol/index.ts'
import { CheckpointAccess } from './checkpoint-access.ts'
import { type Begun, writeChunks } from './checkpoint-chunks.ts'
import type { Checkpoint } from './checkpoint-form.ts'
import { appliedKey } from './keys.ts'
import { SlotReader } from './slot-reader.ts'
import { type Applied, appliedOf } from './tail.ts'

export interface CheckpointWritingDeps {
  shard: number
  store: Store
  journal: Journal
  checkpoints: Checkpoints
  clock: Clock
  random: Random
  /** Bytes of rows in one chunk; one row more may stand in it. */
  chunkBytesMax: number
}

export type CheckpointWritten =
  | { kind: 'recorded'; slot: number; chunks: number; rows: number }
  /** Nothing is recorded, and what was written of it is removed again. */
  | { kind: 'abandoned'; why: string }

export class CheckpointWriting {
  readonly #deps: CheckpointWritingDeps
  readonly #access: CheckpointAccess
  readonly #slots: SlotReader
  readonly #done: (outcome: CheckpointWritten) => void
  #snapshot: StoreSnapshot | undefined

  constructor(deps: CheckpointWritingDeps, done: (outcome: CheckpointWritten) => void) {
    this.#deps = deps
    this.#access = new CheckpointAccess(deps.shard, deps.checkpoints, deps.clock)
    this.#slots = new SlotReader(deps.shard, deps.journal, deps.clock)
    this.#done = done
  }

  start(): void {
    const { shard, store } = this.#deps
    this.#snapshot = store.snapshot()
    const key = appliedKey(shard)
    const to = Buffer.concat([key, Buffer.of(0)])
    const [row] = this.#snapshot.page({ from: key, to, bytesMax: 1 }) ?? []
    const applied = appliedOf(row?.value)
    if (applied.slot === 0) return this.#abandon('this store has applied nothing')
    this.#compare(applied, (mismatch) => {
      if (mismatch === undefined) this.#write(applied)
      else this.#abandon(mismatch)
    })
  }

  stop(): void {
    this.#snapshot?.close()
    this.#access.stop()
    this.#slots.stop()
  }

  /** A store that has parted from the journal would be followed by others. */
  #compare({ slot, hash }: Applied, done: (mismatch?: string) => void): void {
    this.#slots.read(slot, (found) => {
      const isSame = found && hashBytes(found.record) === hash
      done(isSame ? undefined : `slot ${slot} does not hold what this store applied`)
    })
  }

  #write({ slot, hash }: Applied): void {
    const { shard, random, chunkBytesMax } = this.#deps
    const snapshot = this.#snapshot!
    const begun = { slot, hash, attempt: random.id() }
    writeChunks({ shard, snapshot, access: this.#access, chunkBytesMax }, begun, (written) => {
      if (written.kind === 'written') this.#record(written.checkpoint)
      else this.#discard(begun, written.why)
    })
  }

  #record(checkpoint: Checkpoint): void {
    const { slot, chunks, rows } = checkpoint
    // The journal may have lost its end meanwhile, and others have gone on from there.
    this.#compare(checkpoint, (mismatch) => {
      if (mismatch !== undefined) return this.#discard(checkpoint, mismatch)
      this.#access.record(checkpoint, (ours) => {
        if (ours) return this.#done({ kind: 'recorded', slot, chunks, rows })
        this.#discard(checkpoint, `another has recorded a checkpoint of slot ${slot}`)
      })
    })
  }

  /** Only what certainly will not be recorded: tried again and again it would fill the disk. */
  #discard({ slot, attempt }: Begun, why: string): void {
    this.#access.discard({ slot, attempt }, () => this.#abandon(why))
  }

  #abandon(why: string): void {
    this.#snapshot?.close()
    this.#done({ kind: 'abandoned', why })
  }
}
