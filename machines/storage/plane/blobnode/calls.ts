/**
 * What each call of a blobnode does. Decides: when a call takes a slot of its disk, and what is held in
 * memory whole and what goes through in pieces. Leaves to others: who may call (`http-server.ts`), and
 * everything about the bytes on the disk.
 */
import { z } from 'zod'
import type { Clock } from '../../../../src/index.ts'
import { refusal } from '../codes/index.ts'
import { pooledBytes } from '../erasure/index.ts'
import type { BufferPool } from './buffer-pool.ts'
import type { ByteBudget } from './byte-budget.ts'
import { COPY_MS_MAX, copyInto, readMsMaxOf } from './copy-shards.ts'
import type { DiskStore, ShardBytes } from './disk-store.ts'
import type { BytesHead, Exchange, HeldExchange } from './exchange.ts'
import { type IoKind, ioKind } from './io-kinds.ts'
import { answerShards, lengthOf, type ManyDeps, read, takeShards } from './many-shards.ts'
import type { FarChunks } from './near-chunks.ts'
import { type CallName, type CallParts, HELD_BYTES_MAX, type HeldCall, partsOf } from './paths.ts'
import type { ServedDisk } from './served-disk.ts'
import { verifiedPage } from './verified-page.ts'
import { copyBody, writtenChunk, writtenFailure, writtenShard } from './wire.ts'

export interface CallDeps {
  /** @throws StorageRefusal 611 */
  disk: (id: number) => ServedDisk
  /** Of bodies that are held whole. */
  held: ByteBudget
  buffers: BufferPool
  /** Of a chunk whose maker says nothing. */
  chunkBytesMax: number
  clock: Clock
  /** Chunks here and elsewhere, as other blobnodes give them. */
  chunks: Pick<FarChunks, 'getShards'>
}

/** Smaller ones are not worth their rounding up. */
const POOLED_BYTES_MIN = 65_536

type Handle<TCall extends CallName> = (
  parts: CallParts<TCall>,
  exchange: Exchange,
  deps: CallDeps,
) => Promise<void>

const HANDLES: { [TCall in CallName]: Handle<TCall> } = {
  'chunk/create': async ({ diskid, vuid }, exchange, deps) => {
    const bytesMax = bytesMaxOf(exchange) ?? deps.chunkBytesMax
    await atWork(diskid, exchange, deps, (store) => store.createChunk(vuid, bytesMax))
    exchange.json({})
  },
  'chunk/readonly': async ({ diskid, vuid }, exchange, deps) => {
    await atWork(diskid, exchange, deps, (store) => store.setChunkStatus(vuid, 'readonly'))
    exchange.json({})
  },
  'chunk/readwrite': async ({ diskid, vuid }, exchange, deps) => {
    await atWork(diskid, exchange, deps, (store) => store.setChunkStatus(vuid, 'normal'))
    exchange.json({})
  },
  'chunk/release': async ({ diskid, vuid }, exchange, deps) => {
    const isForced = exchange.query.get('force') === 'true'
    await atWork(diskid, exchange, deps, (store) => store.releaseChunk(vuid, isForced))
    exchange.json({})
  },
  'chunk/stat': async ({ diskid, vuid }, exchange, deps) => {
    const chunk = await deps.disk(diskid).store().statChunk(vuid)
    exchange.json(writtenChunk(diskid, chunk))
  },
  'chunk/list': async ({ diskid }, exchange, deps) => {
    const chunks = await deps.disk(diskid).store().chunks()
    exchange.json({ chunks: chunks.map((chunk) => writtenChunk(diskid, chunk)) })
  },
  'shard/put': putShard,
  'shard/get': getShard,
  'shard/stat': async ({ diskid, vuid, bid }, exchange, deps) => {
    exchange.json(writtenShard(await deps.disk(diskid).store().statShard(vuid, bid)))
  },
  'shard/list': async ({ diskid, vuid, startbid, status, count }, exchange, deps) => {
    const page = { from: startbid, status, count }
    const { shards, next } = await deps.disk(diskid).store().listShards(vuid, page)
    exchange.json({ shard_infos: shards.map(writtenShard), next })
  },
  'shards/get': (parts, exchange, deps) => answerShards(exchange, manyOf(parts, exchange, deps)),
  'shards/put': (parts, exchange, deps) => takeShards(exchange, manyOf(parts, exchange, deps)),
  'shard/copy': copyShards,
  'shard/verify': async ({ diskid, vuid, startbid, count }, exchange, { disk, clock }) => {
    const wanted = { vuid, from: startbid, count }
    const caller = { kind: kindOf(exchange), isGone: exchange.isGone }
    const { shards, corrupt, next } = await verifiedPage(disk(diskid), wanted, caller, clock)
    exchange.json({ shard_infos: shards.map(writtenShard), corrupt, next })
  },
  'shard/markdelete': async ({ diskid, vuid, bid }, exchange, deps) => {
    await atWork(diskid, exchange, deps, (store) => store.markDeleted(vuid, bid))
    exchange.json({})
  },
  'shard/delete': async ({ diskid, vuid, bid }, exchange, deps) => {
    await atWork(diskid, exchange, deps, (store) => store.deleteShard(vuid, bid))
    deps.disk(diskid).counters.deletes += 1
    exchange.json({})
  },
}

/** Answers one call. @throws StorageRefusal, TroupeError: then nothing is answered yet */
export function handleCall<TCall extends CallName>(
  call: TCall,
  exchange: Exchange,
  deps: CallDeps,
): Promise<void> {
  const handle: Handle<TCall> = HANDLES[call]
  return handle(partsOf(call, exchange.path), exchange, deps)
}

/** The same for a body that is held whole, and may come another way. */
export function handleHeld(call: HeldCall, exchange: HeldExchange, deps: CallDeps): Promise<void> {
  if (call === 'shard/put') return putHeld(partsOf(call, exchange.path), exchange, deps)
  return takeShards(exchange, manyOf(partsOf(call, exchange.path), exchange, deps))
}

/** The number of the disk that a call is about; undefined where it names none. */
export function diskOfPath(path: string): number | undefined {
  const [, id] = /\/diskid\/(\d{1,10})(?:\/|$)/.exec(path) ?? []
  return id === undefined ? undefined : Number(id)
}

function putShard(
  parts: CallParts<'shard/put'>,
  exchange: Exchange,
  deps: CallDeps,
): Promise<void> {
  if (parts.size <= HELD_BYTES_MAX) return putHeld(parts, exchange, deps)
  return answerPut(parts, exchange, deps, (disk, put) => putPieces(disk, put, exchange))
}

function putHeld(
  parts: CallParts<'shard/put'>,
  exchange: HeldExchange,
  deps: CallDeps,
): Promise<void> {
  return answerPut(parts, exchange, deps, (disk, put) => putWhole(disk, put, exchange, deps))
}

interface Put {
  vuid: bigint
  bid: bigint
  size: number
  /** Its checksum, where the caller says it. */
  meant: number | undefined
}

async function answerPut(
  { diskid, vuid, bid, size }: CallParts<'shard/put'>,
  exchange: HeldExchange,
  deps: CallDeps,
  work: (disk: ServedDisk, put: Put) => Promise<{ crc: number }>,
): Promise<void> {
  requireLength(exchange, size)
  const put = { vuid, bid, size, meant: crcOf(exchange) }
  const disk = deps.disk(diskid)
  // Before the body is asked for: nobody sends it in vain.
  disk.store()
  const { crc } = await work(disk, put)
  disk.counters.puts += 1
  disk.counters.bytes_in += size
  exchange.json({ crc })
}

async function putWhole(
  disk: ServedDisk,
  { vuid, bid, size, meant }: Put,
  exchange: HeldExchange,
  { held, buffers }: CallDeps,
): Promise<{ crc: number }> {
  const isPooled = size >= POOLED_BYTES_MIN
  const giveBack = held.take(isPooled ? pooledBytes(size) : size)
  try {
    const memory = isPooled ? buffers.take(size) : Buffer.allocUnsafe(size)
    const body = await exchange.whole(memory)
    const free = await disk.slots.take(kindOf(exchange), exchange.isGone)
    try {
      const put = await disk.store().putShard(vuid, bid, size, body, meant)
      if (isPooled) buffers.give(memory)
      return put
    } finally {
      free()
    }
  } finally {
    giveBack()
  }
}

/** A slot is taken while a piece is written, and not while the next one is waited for. */
async function putPieces(
  disk: ServedDisk,
  { vuid, bid, size, meant }: Put,
  exchange: Exchange,
): Promise<{ crc: number }> {
  const kind = kindOf(exchange)
  let free = await disk.slots.take(kind, exchange.isGone)
  async function* slotted(): AsyncGenerator<Buffer, void, undefined> {
    free()
    for await (const piece of exchange.pieces(size)) {
      free = await disk.slots.take(kind, exchange.isGone, true)
      yield piece
      free()
    }
    free = await disk.slots.take(kind, exchange.isGone, true)
  }
  try {
    return await disk.store().putShard(vuid, bid, size, slotted(), meant)
  } finally {
    free()
  }
}

async function getShard(
  { diskid, vuid, bid }: CallParts<'shard/get'>,
  exchange: Exchange,
  deps: CallDeps,
): Promise<void> {
  const disk = deps.disk(diskid)
  const kind = kindOf(exchange)
  const range = await rangeOf(exchange, async () => (await disk.store().statShard(vuid, bid)).size)
  const free = await disk.slots.take(kind, exchange.isGone)
  let shard: ShardBytes
  try {
    shard = await disk.store().readShard(vuid, bid, range)
  } finally {
    free()
  }
  const head = headOf(shard.size, range)
  disk.counters.gets += 1
  disk.counters.bytes_out += head.length
  const { bytes } = shard
  if (!Buffer.isBuffer(bytes)) return sendPieces(bytes, head, { disk, kind }, exchange)
  const giveBack = deps.held.take(bytes.byteLength)
  try {
    await exchange.bytes(head, bytes)
  } finally {
    giveBack()
  }
}

/** The first piece is read before anything is said: what a disk cannot give is answered with its number. */
async function sendPieces(
  bytes: AsyncIterable<Buffer>,
  head: BytesHead,
  { disk, kind }: { disk: ServedDisk; kind: IoKind },
  exchange: Exchange,
): Promise<void> {
  const pieces = bytes[Symbol.asyncIterator]()
  const next = async () => {
    const free = await disk.slots.take(kind, exchange.isGone, true)
    try {
      return await pieces.next()
    } finally {
      free()
    }
  }
  async function* all(first: IteratorResult<Buffer>): AsyncGenerator<Buffer, void, undefined> {
    for (let piece = first; !piece.done; piece = await next()) yield piece.value
  }
  try {
    await exchange.stream(head, all(await next()))
  } finally {
    await pieces.return?.()
  }
}

async function copyShards(
  { diskid, vuid }: CallParts<'shard/copy'>,
  exchange: Exchange,
  { disk, chunks, held, buffers, clock }: CallDeps,
): Promise<void> {
  const asked = await exchange.whole(Buffer.allocUnsafe(lengthOf(exchange, HELD_BYTES_MAX)))
  const { from, shards } = read(copyBody, asked)
  const source = { address: from.host, diskId: from.disk_id, vuid: from.vuid }
  const io = kindOf(exchange)
  const failed = await copyInto(disk(diskid), {
    ...{ vuid, shards, io, held, buffers, isGone: exchange.isGone, clock },
    readMsMax: readMsMaxOf(COPY_MS_MAX),
    read: (wanted, target, signal) => chunks.getShards(source, wanted, target, { io, signal }),
  })
  exchange.json({ failed: failed.map(writtenFailure) })
}

function manyOf(
  { diskid, vuid }: CallParts<'shards/get'>,
  exchange: HeldExchange,
  { disk, held, buffers }: CallDeps,
): ManyDeps {
  return { disk: disk(diskid), vuid, io: kindOf(exchange), held, buffers }
}

async function atWork<T>(
  diskId: number,
  exchange: Exchange,
  { disk }: CallDeps,
  work: (store: DiskStore) => Promise<T>,
): Promise<T> {
  const served = disk(diskId)
  served.store()
  const free = await served.slots.take(kindOf(exchange), exchange.isGone)
  try {
    return await work(served.store())
  } finally {
    free()
  }
}

const crc32Text = z
  .string()
  .regex(/^\d{1,10}$/)
  .transform(Number)
  .pipe(z.int().max(0xffff_ffff))

/** @throws StorageRefusal 600 */
function crcOf({ query }: HeldExchange): number | undefined {
  const given = query.get('crc')
  if (given === null) return undefined
  const crc = crc32Text.safeParse(given)
  if (crc.success) return crc.data
  throw refusal(600, `crc "${given.slice(0, 40)}" is no CRC-32 as a decimal number`)
}

function kindOf({ query }: HeldExchange): IoKind {
  const given = query.get('io')
  if (given === null) return 'client'
  const kind = ioKind.safeParse(given)
  if (kind.success) return kind.data
  throw refusal(600, `io "${given.slice(0, 40)}" is none of: ${ioKind.options.join(', ')}`)
}

const chunkBytes = z
  .string()
  .regex(/^\d{1,15}$/)
  .transform(Number)
  .pipe(z.int().min(1))

function bytesMaxOf({ query }: Exchange): number | undefined {
  const given = query.get('chunksize')
  if (given === null) return undefined
  const bytes = chunkBytes.safeParse(given)
  if (bytes.success) return bytes.data
  throw refusal(600, `chunksize "${given.slice(0, 40)}" is no number of bytes`)
}

function requireLength(exchange: HeldExchange, size: number): void {
  const given = exchange.header('content-length')
  if (given !== undefined && /^\d{1,16}$/.test(given) && Number(given) === size) return
  throw refusal(600, `the path says ${size} bytes, and content-length ${given ?? 'is missing'}`)
}

/** Half open; undefined for the whole shard. @throws StorageRefusal 655 */
async function rangeOf(
  exchange: Exchange,
  sizeOf: () => Promise<number>,
): Promise<{ from: number; to: number } | undefined> {
  const given = exchange.header('range')
  if (given === undefined) return undefined
  const [, from, last] = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(given) ?? []
  const size = await sizeOf()
  const range = {
    from: Number(from),
    to: last === '' ? size : Math.min(size, Number(last) + 1),
  }
  if (from !== undefined && range.from < range.to) return range
  throw refusal(655, `range "${given.slice(0, 60)}" is no part of ${size} bytes: bytes=0-99`)
}

function headOf(size: number, range: { from: number; to: number } | undefined): BytesHead {
  if (range === undefined) return { status: 200, length: size }
  const { from, to } = range
  const headers = { 'content-range': `bytes ${from}-${to - 1}/${size}` }
  return { status: 206, length: to - from, headers }
}
