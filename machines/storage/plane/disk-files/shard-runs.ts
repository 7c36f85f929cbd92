/**
 * Many shards in one memory, one behind the other. Decides: that those which lie beside each other in the file are
 * read in one go, what stands between them included; that each is verified, and the next run is read meanwhile.
 * Leaves to others: which shards there are, and where (`chunk.ts`).
 */
import { crc32 } from 'node:zlib'
import type { DiskFile } from './file-ops.ts'
import { PAGE_BYTES } from './record.ts'
import type { StoredShard } from './shard-bytes.ts'

/** A shard, and where its bytes are to go. */
export interface PlacedShard {
  shard: StoredShard
  target: Uint8Array
}

interface Run {
  from: number
  to: number
  shards: PlacedShard[]
  buffers: Uint8Array[]
}

/** Between two records: a table of checksums, a foot, the rest of a page, a head. More is not worth reading. */
const GAP_BYTES_MAX = 2 * PAGE_BYTES
/** A disk does not stand still for others while it is read. */
const RUN_BYTES_MAX = 1_048_576
/** A call of the kernel takes 1,024 buffers; each shard has one, and one for what is before it. */
const RUN_SHARDS_MAX = 512
/** Whatever is read into it, nobody looks at. */
const GAP = Buffer.allocUnsafeSlow(GAP_BYTES_MAX)

/** @returns those whose bytes are not what was written */
export async function readRuns(
  file: DiskFile,
  shards: readonly PlacedShard[],
): Promise<StoredShard[]> {
  const runs = runsOf(shards)
  const wrong: StoredShard[] = []
  const read = (run: Run | undefined) => run && file.readAll(run.buffers, run.from)
  let coming = read(runs[0])
  for (const [at, run] of runs.entries()) {
    const bytes = (await coming) ?? 0
    coming = read(runs[at + 1])
    for (const { shard, target } of run.shards) {
      const isThere = shard.dataAt + shard.size <= run.from + bytes
      if (!isThere || crc32(target) !== shard.crc) wrong.push(shard)
    }
  }
  return wrong
}

/** Pure. In the order of the shards. */
function runsOf(shards: readonly PlacedShard[]): Run[] {
  const runs: Run[] = []
  let last: Run | undefined
  for (const placed of shards) {
    const { shard, target } = placed
    const to = shard.dataAt + shard.size
    const gap = last === undefined ? -1 : shard.dataAt - last.to
    const fits =
      last !== undefined &&
      gap >= 0 &&
      gap <= GAP_BYTES_MAX &&
      to - last.from <= RUN_BYTES_MAX &&
      last.shards.length < RUN_SHARDS_MAX
    if (last === undefined || !fits) {
      last = { from: shard.dataAt, to, shards: [placed], buffers: [target] }
      runs.push(last)
      continue
    }
    if (gap > 0) last.buffers.push(GAP.subarray(0, gap))
    last.buffers.push(target)
    last.shards.push(placed)
    last.to = to
  }
  return runs
}
