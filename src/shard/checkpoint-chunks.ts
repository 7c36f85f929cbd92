/**
 * Writing the rows of a snapshot as the chunks of one checkpoint.
 *
 * Decides: that they are read back before anybody may record them, that the snapshot is closed as soon as
 * it is read, and where another one takes its place. Leaves to others: what makes it the state of that slot, the record, and removing
 * chunks that nobody will record.
 */
import type { StoreSnapshot } from '../ports/index.ts'
import type { CheckpointAccess } from './checkpoint-access.ts'
import {
  type Checkpoint,
  checkpointRange,
  digestOf,
  EMPTY_DIGEST,
  encodeChunk,
} from './checkpoint-form.ts'

export interface ChunkDeps {
  shard: number
  snapshot: StoreSnapshot
  /**
   * Where nobody writes to the shard: another snapshot shows the same, so that what takes longer than one is
   * kept open is not given up.
   */
  renewed?: () => StoreSnapshot
  access: CheckpointAccess
  /** Bytes of rows in one chunk; one row more may stand in it. */
  chunkBytesMax: number
}

/** A checkpoint of which the chunks are still to be written. */
export type Begun = Pick<Checkpoint, 'slot' | 'hash' | 'attempt'>

export type ChunksWritten =
  | { kind: 'written'; checkpoint: Checkpoint }
  | { kind: 'failed'; why: string }

export function writeChunks(
  { shard, snapshot: first, renewed, access, chunkBytesMax }: ChunkDeps,
  begun: Begun,
  done: (outcome: ChunksWritten) => void,
): void {
  const { from: begin, to } = checkpointRange(shard)
  const { slot, attempt } = begun
  const checkpoint: Checkpoint = { ...begun, chunks: 0, rows: 0, digest: EMPTY_DIGEST }
  let snapshot = first
  const failed = (why: string) => {
    snapshot.close()
    done({ kind: 'failed', why })
  }
  const pageFrom = (from: Uint8Array) => snapshot.page({ from, to, bytesMax: chunkBytesMax })
  const readBack = () =>
    access.verify(checkpoint, (problem) => {
      if (problem === undefined) done({ kind: 'written', checkpoint })
      else failed(problem)
    })
  const writeFrom = (from: Uint8Array) => {
    let rows = pageFrom(from)
    if (!rows && renewed) {
      snapshot = renewed()
      rows = pageFrom(from)
    }
    if (!rows) return failed('the snapshot of the store was given up')
    const last = rows.at(-1)
    if (!last) {
      snapshot.close()
      return readBack()
    }
    const index = checkpoint.chunks
    const bytes = encodeChunk(shard, index, rows)
    checkpoint.chunks += 1
    checkpoint.rows += rows.length
    checkpoint.digest = digestOf(checkpoint.digest, bytes)
    access.write({ slot, attempt, index }, bytes, () =>
      writeFrom(Buffer.concat([last.key, Buffer.of(0)])),
    )
  }
  writeFrom(begin)
}
