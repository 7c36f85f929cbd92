/** What a blobnode answers, as JSON: the names of the reference, written by the server and read by clients. */
import { z } from 'zod'
import { TroupeError } from '../../../../src/index.ts'
import { bidSchema, refusal, StorageRefusal, vuidSchema } from '../codes/index.ts'
import type { CopyFailure } from './copy-shards.ts'
import type { ChunkStat, ChunkStatus, ShardFailure, ShardInfo } from './disk-store.ts'
import { COPY_COUNT_MAX } from './paths.ts'

/** The numbers that the reference has for them. */
const CHUNK_STATUSES: Readonly<Record<ChunkStatus, number>> = { normal: 1, readonly: 2, release: 3 }

export function writtenChunk(diskId: number, chunk: ChunkStat): Record<string, unknown> {
  const { vuid, status, totalBytes, usedBytes, freeBytes, shards } = chunk
  return {
    ...{ vuid, disk_id: diskId, status: CHUNK_STATUSES[status] },
    ...{ total: totalBytes, used: usedBytes, free: freeBytes, shards },
  }
}

export function writtenShard({ vuid, bid, size, crc, offset, flag }: ShardInfo): ShardInfo {
  return { vuid, bid, size, crc, offset, flag }
}

const count = z.int().min(0)

export const chunkAnswer = z
  .object({
    vuid: vuidSchema,
    status: z.int().min(1).max(3),
    ...{ total: count, used: count, free: count, shards: count },
  })
  .transform(({ vuid, status, total, used, free, shards }): ChunkStat => {
    const statuses = ['normal', 'readonly', 'release'] as const
    return {
      ...{ vuid, status: statuses[status - 1] ?? 'normal' },
      ...{ totalBytes: total, usedBytes: used, freeBytes: free, shards },
    }
  })

export const chunksAnswer = z.object({ chunks: z.array(chunkAnswer) })

export const shardAnswer = z.object({
  ...{ vuid: vuidSchema, bid: bidSchema, size: count, crc: count, offset: count },
  flag: z.literal(1).or(z.literal(2)),
})

export const shardsAnswer = z.object({
  shard_infos: z.array(shardAnswer),
  /** 0 behind the last page. */
  next: z
    .literal(0)
    .transform(() => 0n)
    .or(bidSchema),
})

export const verifiedAnswer = shardsAnswer.extend({
  /** Those of the list that are not what was written. */
  corrupt: z.array(bidSchema),
})

/** What `shard/copy` is asked for. */
export const copyBody = z.object({
  from: z.object({ host: z.string().min(1), disk_id: z.int().min(1), vuid: vuidSchema }),
  shards: z
    .array(z.object({ bid: bidSchema, size: count, crc: count.max(0xffff_ffff) }))
    .max(COPY_COUNT_MAX),
})

export function writtenFailure({ bid, isSource, why }: CopyFailure): Record<string, unknown> {
  const status = why instanceof StorageRefusal ? why.status : 0
  return { bid, at: isSource ? 'source' : 'destination', status, error: why.message }
}

export const copyAnswer = z.object({
  failed: z.array(
    z
      .object({
        bid: bidSchema,
        at: z.enum(['source', 'destination']),
        /** 0: nobody answered. */
        status: count,
        error: z.string(),
      })
      .transform(({ bid, at, status, error }): CopyFailure => {
        const why = status === 0 ? new TroupeError('unavailable', error) : refusal(status, error)
        return { bid, isSource: at === 'source', why }
      }),
  ),
})

const bids = z.array(bidSchema).max(COPY_COUNT_MAX)
const sizes = z.array(count).max(COPY_COUNT_MAX)

/** What `shards/get` is asked for: two rows of numbers. */
export const getManyBody = z
  .object({ bids, sizes })
  .refine((body) => body.bids.length === body.sizes.length, 'the rows are not of one length')
  .transform((body) => body.bids.map((bid, at) => ({ bid, size: body.sizes[at] ?? 0 })))

/** The first line of the body of `shards/put`; their bytes follow. */
export const putManyLine = z
  .object({ bids, sizes, crcs: z.array(count.max(0xffff_ffff)).max(COPY_COUNT_MAX) })
  .refine(
    (line) => line.bids.length === line.sizes.length && line.bids.length === line.crcs.length,
    'the rows are not of one length',
  )
  .transform((line) =>
    line.bids.map((bid, at) => ({ bid, size: line.sizes[at] ?? 0, crc: line.crcs[at] ?? 0 })),
  )

export function writtenFailures(failed: readonly ShardFailure[]): Record<string, unknown> {
  const written = failed.map(({ bid, why }) => ({ bid, status: why.status, error: why.message }))
  return { failed: written }
}

/** Shards that were not given, or not taken. */
export const failuresAnswer = z
  .object({ failed: z.array(z.object({ bid: bidSchema, status: count, error: z.string() })) })
  .transform(({ failed }): ShardFailure[] =>
    failed.map(({ bid, status, error }) => ({ bid, why: refusal(status, error) })),
  )

export const putAnswer = z.object({ crc: count })
