/**
 * Reading and writing checkpoints with certainty: an unknown outcome is asked again until it is known.
 *
 * Decides: when a checkpoint is whole: every chunk is there, and all of them are what its record says.
 * Leaves to others: which one is wanted, and whether it belongs to the journal.
 */
import type {
  AttemptName,
  CheckpointRecord,
  Checkpoints,
  ChunkName,
  Clock,
} from '../ports/index.ts'
import {
  type Checkpoint,
  decodeCheckpoint,
  decodeChunk,
  digestOf,
  EMPTY_DIGEST,
  encodeCheckpoint,
} from './checkpoint-form.ts'
import { Retries } from './retries.ts'
import type { RowRun } from './row-run.ts'

/** Between two tries. */
const AGAIN = { firstMs: 20, maxMs: 5_000 }

export class CheckpointAccess {
  readonly #shard: number
  readonly #checkpoints: Checkpoints
  readonly #retries: Retries

  constructor(shard: number, checkpoints: Checkpoints, clock: Clock) {
    this.#shard = shard
    this.#checkpoints = checkpoints
    this.#retries = new Retries(clock, AGAIN)
  }

  /** From now on nobody is told anything. */
  stop(): void {
    this.#retries.stop()
  }

  /** Those that this version can read, the newest first. */
  list(done: (checkpoints: Checkpoint[]) => void): void {
    this.#records((records) => done(readable(records)))
  }

  /** Of all that are recorded, also by versions of another form, the newest first: whether there is any. */
  slots(done: (slots: number[]) => void): void {
    this.#records((records) => done(records.map(({ slot }) => slot).sort((a, b) => b - a)))
  }

  #records(done: (records: readonly CheckpointRecord[]) => void, tries = 0): void {
    this.#checkpoints.list(this.#shard, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome.kind === 'unknown') {
        return this.#retries.again(tries, () => this.#records(done, tries + 1))
      }
      done(outcome.records)
    })
  }

  write(at: Omit<ChunkName, 'shard'>, bytes: Uint8Array, done: () => void, tries = 0): void {
    this.#checkpoints.write({ ...at, shard: this.#shard }, bytes, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome === 'written') done()
      else this.#retries.again(tries, () => this.write(at, bytes, done, tries + 1))
    })
  }

  /** `ours` is false when another recorded a checkpoint of this slot before. */
  record(checkpoint: Checkpoint, done: (ours: boolean) => void, tries = 0): void {
    const value = encodeCheckpoint(checkpoint)
    this.#checkpoints.record(this.#shard, checkpoint.slot, value, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome.kind === 'unknown') {
        return this.#retries.again(tries, () => this.record(checkpoint, done, tries + 1))
      }
      // An earlier try of ours may have won.
      done(outcome.kind === 'won' || Buffer.compare(outcome.value, value) === 0)
    })
  }

  discard(at: Omit<AttemptName, 'shard'>, done: () => void, tries = 0): void {
    this.#checkpoints.discard({ ...at, shard: this.#shard }, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome === 'removed') done()
      else this.#retries.again(tries, () => this.discard(at, done, tries + 1))
    })
  }

  removeBelow(slot: number, done: () => void, tries = 0): void {
    this.#checkpoints.removeBelow(this.#shard, slot, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome === 'removed') done()
      else this.#retries.again(tries, () => this.removeBelow(slot, done, tries + 1))
    })
  }

  /**
   * Reads a checkpoint through; `each` is given the rows of one chunk after the other, and calls `next`.
   * `done` is told what is wrong with it, if anything is.
   */
  read(
    checkpoint: Checkpoint,
    each: (rows: RowRun, next: () => void) => void,
    done: (problem?: string) => void,
  ): void {
    const { chunks, rows: rowCount, digest: expected } = checkpoint
    let digest = EMPTY_DIGEST
    let count = 0
    const readFrom = (index: number) => {
      if (index === chunks) {
        const isWhole = digest === expected && count === rowCount
        return done(isWhole ? undefined : 'its chunks are not what its record says')
      }
      this.#chunk(checkpoint, index, (bytes) => {
        const rows = bytes && decodeChunk(this.#shard, index, bytes)
        if (!rows) return done(`chunk ${index} ${bytes ? 'cannot be read' : 'is gone'}`)
        digest = digestOf(digest, bytes)
        count += rows.count
        each(rows, () => readFrom(index + 1))
      })
    }
    readFrom(0)
  }

  verify(checkpoint: Checkpoint, done: (problem?: string) => void): void {
    this.read(checkpoint, (_rows, next) => next(), done)
  }

  #chunk(
    checkpoint: Checkpoint,
    index: number,
    done: (bytes: Uint8Array | undefined) => void,
    tries = 0,
  ): void {
    const { slot, attempt } = checkpoint
    this.#checkpoints.read({ shard: this.#shard, slot, attempt, index }, (outcome) => {
      if (this.#retries.stopped) return
      if (outcome.kind === 'unknown') {
        return this.#retries.again(tries, () => this.#chunk(checkpoint, index, done, tries + 1))
      }
      done(outcome.kind === 'found' ? outcome.bytes : undefined)
    })
  }
}

function readable(records: readonly CheckpointRecord[]): Checkpoint[] {
  return records
    .map(decodeCheckpoint)
    .filter((one) => one !== undefined)
    .sort((a, b) => b.slot - a.slot)
}
