/**
 * Many shards in one call, for who copies chunks or makes them anew. Decides: that a body holds all that are asked
 * for, one behind the other, or none (then it is told which cannot be had, and whoever asks leaves them out); that
 * many are put in one place at the disk, so that one flush takes them. Leaves to others: their bytes on the disk.
 */
import { z } from 'zod'
import { parseStorageJson, refusal, StorageRefusal } from '../codes/index.ts'
import { pooledBytes } from '../erasure/index.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { ShardFailure, WantedBytes } from './disk-store.ts'
import type { Exchange, HeldExchange } from './exchange.ts'
import type { IoKind } from './io-kinds.ts'
import { MANY_BYTES_MAX, MANY_LINE_BYTES_MAX } from './paths.ts'
import type { ServedDisk } from './served-disk.ts'
import { getManyBody, putManyLine, writtenFailures } from './wire.ts'

/** One of many that are put together. */
export interface PutShard extends WantedBytes {
  /** CRC-32. */
  crc: number
}

export interface ShardSlice extends PutShard {
  bytes: Uint8Array
}

/** Into which chunk, and for whom. */
export interface PutPlace {
  disk: ServedDisk
  vuid: bigint
  io: IoKind
  isGone: () => boolean
  /** It has begun: then it waits for the disk, however many do. */
  isUnderWay: boolean
}

export interface ManyDeps extends Pick<PutPlace, 'disk' | 'vuid' | 'io'> {
  /** Of bodies that are held whole. */
  held: ByteBudget
  buffers: BufferPool
}

/** Not all of them: see the body. */
const SOME = 207
/** What is deleted does not come back. */
const MARKED_DELETED = 654
const LINE_END = 0x0a

export function bytesOf(shards: readonly WantedBytes[]): number {
  return shards.reduce((sum, { size }) => sum + size, 0)
}

/** @param source all of them, one behind the other */
export function slicesOf(shards: readonly PutShard[], source: Uint8Array): ShardSlice[] {
  let at = 0
  return shards.map((shard) => {
    const bytes = source.subarray(at, at + shard.size)
    at += shard.size
    return { ...shard, bytes }
  })
}

/** @throws StorageRefusal, TroupeError */
export async function answerShards(exchange: Exchange, deps: ManyDeps): Promise<void> {
  const { disk, vuid, io, held, buffers } = deps
  disk.store()
  const asked = await exchange.whole(Buffer.allocUnsafe(lengthOf(exchange, MANY_LINE_BYTES_MAX)))
  const wanted = read(getManyBody, asked)
  const bytes = bytesOf(wanted)
  if (bytes > MANY_BYTES_MAX) throw refusal(600, `${bytes} bytes are more than ${MANY_BYTES_MAX}`)
  const giveBack = held.take(pooledBytes(bytes))
  try {
    const target = buffers.take(bytes)
    const free = await disk.slots.take(io, exchange.isGone)
    let failed: readonly ShardFailure[]
    try {
      failed = await disk.store().readShards(vuid, wanted, target)
    } finally {
      free()
    }
    if (failed.length > 0) exchange.json(writtenFailures(failed), SOME)
    else {
      disk.counters.gets += wanted.length
      disk.counters.bytes_out += bytes
      await exchange.bytes({ status: 200, length: bytes }, target)
    }
    buffers.give(target)
  } finally {
    giveBack()
  }
}

/** @throws StorageRefusal, TroupeError */
export async function takeShards(exchange: HeldExchange, deps: ManyDeps): Promise<void> {
  const length = lengthOf(exchange, MANY_LINE_BYTES_MAX + MANY_BYTES_MAX)
  deps.disk.store()
  const giveBack = deps.held.take(pooledBytes(length))
  try {
    const memory = deps.buffers.take(length)
    const body = await exchange.whole(memory)
    const end = body.indexOf(LINE_END)
    const shards = read(putManyLine, body.subarray(0, Math.max(0, end)))
    const source = body.subarray(end + 1)
    if (bytesOf(shards) !== source.length) {
      throw refusal(600, `the body has ${source.length} bytes behind its first line; send it again`)
    }
    const { disk, vuid, io } = deps
    const place = { disk, vuid, io, isGone: exchange.isGone, isUnderWay: false }
    const failed = await putTogether(place, slicesOf(shards, source))
    exchange.json(writtenFailures(failed))
    deps.buffers.give(memory)
  } finally {
    giveBack()
  }
}

/** @returns those that were deleted here @throws StorageRefusal: the chunk, or its disk; TroupeError */
export async function putTogether(
  { disk, vuid, io, isGone, isUnderWay }: PutPlace,
  shards: readonly ShardSlice[],
): Promise<ShardFailure[]> {
  if (shards.length === 0) return []
  const free = await disk.slots.take(io, isGone, isUnderWay)
  try {
    if (isGone()) throw refusal(676, 'the caller has gone')
    const store = disk.store()
    const puts = shards.map(({ bid, size, crc, bytes }) =>
      store.putShard(vuid, bid, size, bytes, crc),
    )
    const failed: ShardFailure[] = []
    // All have ended when one of them is told: nobody reads their bytes any more.
    for (const [index, put] of (await Promise.allSettled(puts)).entries()) {
      const { bid, size } = shards[index]!
      if (put.status === 'fulfilled') {
        disk.counters.puts += 1
        disk.counters.bytes_in += size
      } else if (isDeleted(put.reason)) failed.push({ bid, why: put.reason })
      else throw put.reason
    }
    return failed
  } finally {
    free()
  }
}

function isDeleted(thrown: unknown): thrown is StorageRefusal {
  return thrown instanceof StorageRefusal && thrown.status === MARKED_DELETED
}

/** Of a body that is held whole. @throws StorageRefusal 600 */
export function lengthOf(exchange: HeldExchange, bytesMax: number): number {
  const bytes = Number(exchange.header('content-length') ?? Number.NaN)
  if (Number.isInteger(bytes) && bytes <= bytesMax) return bytes
  throw refusal(600, `content-length says no number of bytes up to ${bytesMax}`)
}

/** @throws StorageRefusal 600 */
export function read<T>(schema: z.ZodType<T>, bytes: Buffer): T {
  let given: unknown
  try {
    given = parseStorageJson(bytes.toString('utf8'))
  } catch {
    given = undefined
  }
  const body = schema.safeParse(given)
  if (body.success) return body.data
  throw refusal(600, `what is asked for cannot be read: ${z.prettifyError(body.error)}`)
}
