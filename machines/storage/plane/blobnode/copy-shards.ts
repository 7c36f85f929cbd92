/**
 * Fills a chunk with shards of another one, on the blobnode that has the new chunk: so their bytes cross the
 * network once, or not at all, whoever asks for it. Decides: that what is there already is not copied again;
 * that many are written with one flush; that a shard which its chunk does not give, or not in time, is told, and
 * keeps no other from its way; that what arrives is what the asker says was written, by its checksum. Leaves to
 * others: which shards, and what becomes of those that could not be had.
 */
import { type Clock, TroupeError } from '../../../../src/index.ts'
import { inParallel } from '../access/parallel.ts'
import { refusal, StorageRefusal } from '../codes/index.ts'
import type { ByteBudget } from './byte-budget.ts'
import type { DiskStore } from './disk-store.ts'
import type { IoKind } from './io-kinds.ts'
import type { ServedDisk } from './served-disk.ts'

export interface WantedShard {
  bid: bigint
  size: number
  /** CRC-32. */
  crc: number
}

/** One that was not copied. */
export interface CopyFailure {
  bid: bigint
  /** The chunk that it was to come from does not give it; else the new one does not take it. */
  isSource: boolean
  why: TroupeError
}

export interface CopyOrder {
  vuid: bigint
  shards: readonly WantedShard[]
  /** @throws TroupeError as the other chunk's blobnode answers; what the signal was aborted with */
  read: (bid: bigint, signal: AbortSignal) => Promise<Buffer>
  io: IoKind
  isGone: () => boolean
  clock: Clock
  /** For the reads of all groups together. */
  readMsMax: number
  /** Of what is held on its way; whoever asks may hold as much as it likes without. */
  held?: ByteBudget
}

/** Of one chunk, while nobody else waits for what is read: its disk reads ahead. */
const READS_AT_ONCE = 8
/** What is read before it is written, so that one flush takes all of it. */
const GROUP_BYTES = 16_777_216
/** What is deleted does not come back. */
const MARKED_DELETED = 654

interface Read {
  shard: WantedShard
  bytes: Buffer
}

/** Whoever asks waits so long: a disk that is busy with clients takes its time for 16 MiB. */
export const COPY_MS_MAX = 30_000

/** A third of what the asker waits: what was read by then can still be put, and its answer travel. */
export function readMsMaxOf(askerMs: number): number {
  return Math.ceil(askerMs / 3)
}

/** @throws StorageRefusal, TroupeError: the new chunk, or its disk */
export async function copyInto(disk: ServedDisk, order: CopyOrder): Promise<CopyFailure[]> {
  const failed: CopyFailure[] = []
  // Else a chunk that is slow to read would be taken for a new one that is slow to write.
  const late = new AbortController()
  const why = `it was not read within ${order.readMsMax} ms`
  const cancel = order.clock.after(order.readMsMax, () =>
    late.abort(new TroupeError('unavailable', why)),
  )
  try {
    for (const group of groupsOf(order.shards)) {
      const giveBack = order.held?.take(bytesOf(group))
      try {
        const read = await readAll(disk.store(), { ...order, signal: late.signal }, group, failed)
        await putAll(disk, order, read, failed)
      } finally {
        giveBack?.()
      }
    }
    return failed
  } finally {
    cancel()
  }
}

function* groupsOf(shards: readonly WantedShard[]): Generator<WantedShard[], void, undefined> {
  let group: WantedShard[] = []
  let bytes = 0
  for (const shard of shards) {
    if (group.length > 0 && bytes + shard.size > GROUP_BYTES) {
      yield group
      group = []
      bytes = 0
    }
    group.push(shard)
    bytes += shard.size
  }
  if (group.length > 0) yield group
}

function bytesOf(shards: readonly WantedShard[]): number {
  return shards.reduce((sum, { size }) => sum + size, 0)
}

/** Those that are not there yet, and can be had. */
async function readAll(
  store: DiskStore,
  order: CopyOrder & { signal: AbortSignal },
  group: readonly WantedShard[],
  failed: CopyFailure[],
): Promise<Read[]> {
  const read: Read[] = []
  let away: TroupeError | undefined
  await inParallel(group, READS_AT_ONCE, async (shard) => {
    if (order.isGone()) throw refusal(676, 'the caller has gone')
    if (await isThere(store, order.vuid, shard)) return
    // Who does not answer is not asked for each of them: that would take as long as they are many.
    const bytes = away ?? (await readOne(order, shard))
    if (Buffer.isBuffer(bytes)) {
      read.push({ shard, bytes })
      return
    }
    failed.push({ bid: shard.bid, isSource: true, why: bytes })
    if (!(bytes instanceof StorageRefusal)) away = bytes
  })
  return read
}

async function isThere(store: DiskStore, vuid: bigint, shard: WantedShard): Promise<boolean> {
  try {
    const { size, crc, flag } = await store.statShard(vuid, shard.bid)
    return flag === 1 && size === shard.size && crc === shard.crc
  } catch (thrown) {
    // Whatever else is the matter with the chunk, the put will say.
    if (thrown instanceof TroupeError) return false
    throw thrown
  }
}

async function readOne(
  { read, signal }: CopyOrder & { signal: AbortSignal },
  { bid, size }: WantedShard,
): Promise<Buffer | TroupeError> {
  try {
    signal.throwIfAborted()
    const bytes = await read(bid, signal)
    if (bytes.length === size) return bytes
    return refusal(658, `shard ${bid} has ${bytes.length} bytes, not ${size}`)
  } catch (thrown) {
    if (thrown instanceof TroupeError) return thrown
    throw thrown
  }
}

/** In one place at the disk: they go to it in one write. */
async function putAll(
  disk: ServedDisk,
  { vuid, io, isGone }: CopyOrder,
  read: readonly Read[],
  failed: CopyFailure[],
): Promise<void> {
  if (read.length === 0) return
  const free = await disk.slots.take(io, isGone, true)
  try {
    const store = disk.store()
    const puts = read.map(({ shard: { bid, size, crc }, bytes }) =>
      store.putShard(vuid, bid, size, bytes, crc),
    )
    for (const [at, put] of (await Promise.allSettled(puts)).entries()) {
      const { shard } = read[at]!
      if (put.status === 'fulfilled') {
        disk.counters.puts += 1
        disk.counters.bytes_in += shard.size
      } else if (isDeleted(put.reason)) {
        failed.push({ bid: shard.bid, isSource: false, why: put.reason })
      } else throw put.reason
    }
  } finally {
    free()
  }
}

function isDeleted(thrown: unknown): thrown is StorageRefusal {
  return thrown instanceof StorageRefusal && thrown.status === MARKED_DELETED
}
