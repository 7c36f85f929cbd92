/**
 * Checkpoints as blobs, and keys of the registry.
 *
 * Decides: the names `checkpoint.<shard>.<slot>` (keys) and `checkpoint.<shard>.<slot>.<attempt>.<index>`
 * (blobs, with numbers of equal length, so that they are listed in order). A promise that is rejected is
 * an unknown outcome. Leaves to others: where blobs and keys are kept.
 */
import type {
  AttemptName,
  Blobs,
  CheckpointListOutcome,
  Checkpoints,
  ChunkName,
  ChunkReadOutcome,
  ClaimOutcome,
  Registry,
} from '../../ports/index.ts'

/** Digits of 2^53. */
const SLOT_DIGITS = 16
const INDEX_DIGITS = 8

export class BlobCheckpoints implements Checkpoints {
  private readonly blobs: Blobs
  private readonly registry: Registry

  constructor(blobs: Blobs, registry: Registry) {
    this.blobs = blobs
    this.registry = registry
  }

  write(chunk: ChunkName, bytes: Uint8Array, done: (outcome: 'written' | 'unknown') => void): void {
    this.blobs.put(blobOf(chunk), bytes).then(
      () => done('written'),
      () => done('unknown'),
    )
  }

  read(chunk: ChunkName, done: (outcome: ChunkReadOutcome) => void): void {
    this.blobs.get(blobOf(chunk)).then(
      (bytes) => done(bytes ? { kind: 'found', bytes } : { kind: 'absent' }),
      (cause: Error) => done({ kind: 'unknown', why: cause.message }),
    )
  }

  record(
    shard: number,
    slot: number,
    value: Uint8Array,
    done: (outcome: ClaimOutcome) => void,
  ): void {
    this.registry.claim(`${prefixOf(shard)}${slot}`, value, done)
  }

  list(shard: number, done: (outcome: CheckpointListOutcome) => void): void {
    const prefix = prefixOf(shard)
    this.registry.list(prefix, (outcome) => {
      if (outcome.kind === 'unknown') return done(outcome)
      const records = outcome.entries
        .map(({ key, value }) => ({ slot: Number(key.slice(prefix.length)), value }))
        .filter(({ slot }) => Number.isSafeInteger(slot))
        .sort((a, b) => a.slot - b.slot)
      done({ kind: 'listed', records })
    })
  }

  discard(attempt: AttemptName, done: (outcome: 'removed' | 'unknown') => void): void {
    this.deleteBlobs(attemptOf(attempt), () => true).then(
      () => done('removed'),
      () => done('unknown'),
    )
  }

  removeBelow(shard: number, slot: number, done: (outcome: 'removed' | 'unknown') => void): void {
    this.list(shard, (outcome) => {
      if (outcome.kind === 'unknown') return done('unknown')
      const below = outcome.records.filter((record) => record.slot < slot)
      this.removeRecords(
        shard,
        below.map((record) => record.slot),
        (removed) => {
          // A record whose chunks are gone would be taken for a checkpoint.
          if (removed === 'unknown') return done('unknown')
          this.removeChunks(shard, slot).then(
            () => done('removed'),
            () => done('unknown'),
          )
        },
      )
    })
  }

  private removeRecords(
    shard: number,
    [slot, ...others]: readonly number[],
    done: (outcome: 'removed' | 'unknown') => void,
  ): void {
    if (slot === undefined) return done('removed')
    this.registry.remove(`${prefixOf(shard)}${slot}`, (outcome) => {
      if (outcome === 'removed') this.removeRecords(shard, others, done)
      else done('unknown')
    })
  }

  private async removeChunks(shard: number, slot: number): Promise<void> {
    await this.deleteBlobs(prefixOf(shard), (rest) => Number.parseInt(rest, 10) < slot)
  }

  private async deleteBlobs(prefix: string, isGone: (rest: string) => boolean): Promise<void> {
    for (const name of await this.blobs.list(prefix)) {
      if (isGone(name.slice(prefix.length))) await this.blobs.delete(name)
    }
  }
}

function prefixOf(shard: number): string {
  return `checkpoint.${shard}.`
}

function attemptOf({ shard, slot, attempt }: AttemptName): string {
  return `${prefixOf(shard)}${String(slot).padStart(SLOT_DIGITS, '0')}.${attempt}.`
}

function blobOf(chunk: ChunkName): string {
  return attemptOf(chunk) + String(chunk.index).padStart(INDEX_DIGITS, '0')
}
