/**
 * The other side of a blobnode's calls. Decides: how a refusal, silence and a broken answer are told apart.
 * Never tries again by itself, but for a connection that had gone meanwhile: whether a shard is asked for
 * elsewhere is the caller's business.
 */
import type { z } from 'zod'
import { TroupeError } from '../../../../src/index.ts'
import { parseStorageJson, readRefusal, refusal, storageJson } from '../codes/index.ts'
import { isOfShard } from '../disk-files/index.ts'
import { copyBytes } from '../erasure/index.ts'
import type { CopyFailure, WantedShard } from './copy-shards.ts'
import type { ChunkStat, ShardFailure, ShardInfo, WantedBytes } from './disk-store.ts'
import { HttpPeers, type PeerAnswer } from './http-peers.ts'
import type { IoKind } from './io-kinds.ts'
import { keepFreedMemory } from './kept-memory.ts'
import type { PutShard } from './many-shards.ts'
import {
  CALLS,
  type CallName,
  type CallParts,
  HELD_BYTES_MAX,
  MANY_BYTES_MAX,
  pathOf,
  SHARD_BYTES_MAX,
} from './paths.ts'
import {
  chunkAnswer,
  chunksAnswer,
  copyAnswer,
  failuresAnswer,
  putAnswer,
  shardAnswer,
  shardsAnswer,
  verifiedAnswer,
} from './wire.ts'

export interface UnitPlace {
  /** Such as `http://127.0.0.1:8889`. */
  address: string
  diskId: number
  vuid: bigint
}

export interface BlobnodeClientOptions {
  token?: string | undefined
  /** For a whole call. Default 10 s. */
  timeoutMs?: number
}

export interface CallOptions {
  signal?: AbortSignal | undefined
  /** What it is for; default `client`. */
  io?: IoKind
}

export interface PutOptions extends CallOptions {
  /** CRC-32 of the bytes: others are refused with 658, and not stored. */
  crc?: number
}

export interface GetOptions extends CallOptions {
  /** `to` is exclusive. */
  range?: { from: number; to: number } | undefined
}

/** A live disk takes milliseconds, a slow one seconds. */
export const TIMEOUT_MS = 10_000
/** Lists of all chunks of a disk among it. */
const JSON_BYTES_MAX = 8_388_608

interface Sent extends CallOptions {
  query?: string
  headers?: Readonly<Record<string, string>>
  body?: readonly Uint8Array[]
  into?: Uint8Array
  answerBytesMax?: number
  bulk?: 'up' | 'down'
}

/** @throws StorageRefusal as the blobnode answered; TroupeError `unavailable`: nobody there, or not in time */
export class BlobnodeClient {
  readonly #peers = new HttpPeers()
  readonly #headers: Readonly<Record<string, string>>
  readonly #timeoutMs: number

  constructor({ token, timeoutMs = TIMEOUT_MS }: BlobnodeClientOptions = {}) {
    this.#headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    this.#timeoutMs = timeoutMs
    keepFreedMemory()
  }

  async createChunk(at: UnitPlace, bytesMax: number, options: CallOptions = {}): Promise<void> {
    const sent = { ...options, query: `chunksize=${bytesMax}` }
    await this.#call(at.address, 'chunk/create', chunkOf(at), sent)
  }

  async setChunk(
    at: UnitPlace,
    status: 'readonly' | 'readwrite',
    options: CallOptions = {},
  ): Promise<void> {
    await this.#call(at.address, `chunk/${status}`, chunkOf(at), options)
  }

  async releaseChunk(at: UnitPlace, force = false, options: CallOptions = {}): Promise<void> {
    const sent = { ...options, ...(force ? { query: 'force=true' } : {}) }
    await this.#call(at.address, 'chunk/release', chunkOf(at), sent)
  }

  async statChunk(at: UnitPlace, options: CallOptions = {}): Promise<ChunkStat> {
    return this.#read(chunkAnswer, at.address, 'chunk/stat', chunkOf(at), options)
  }

  async listChunks(
    address: string,
    diskId: number,
    options: CallOptions = {},
  ): Promise<ChunkStat[]> {
    const parts = { diskid: diskId }
    return (await this.#read(chunksAnswer, address, 'chunk/list', parts, options)).chunks
  }

  async putShard(
    at: UnitPlace,
    bid: bigint,
    bytes: Uint8Array,
    { crc, ...options }: PutOptions = {},
  ): Promise<{ crc: number }> {
    const parts = { ...chunkOf(at), bid, size: bytes.byteLength }
    const meant = crc === undefined ? {} : { query: `crc=${crc}` }
    // What is larger is asked for before it is sent.
    const bulk = bytes.byteLength <= HELD_BYTES_MAX ? { bulk: 'up' as const } : {}
    const sent = { ...options, ...meant, ...bulk, body: [bytes] }
    return this.#read(putAnswer, at.address, 'shard/put', parts, sent)
  }

  /** The blobnode has verified every byte; one that fails that is refused, also in the middle of an answer. */
  async getShard(at: UnitPlace, bid: bigint, options: GetOptions = {}): Promise<Buffer> {
    const { range, ...sent } = options
    const { body, length } = await this.#bytes(at, bid, range, sent)
    if (body.byteLength === length) return body
    // It broke off. What the disk cannot give from there on is refused with its number now.
    const from = (range?.from ?? 0) + body.byteLength
    const to = from + length - body.byteLength
    const rest = await this.#bytes(at, bid, { from, to }, sent)
    const whole = Buffer.concat([body, rest.body])
    if (whole.byteLength === length) return whole
    throw new TroupeError('unavailable', `${at.address} broke off in the middle of a shard, twice`)
  }

  /**
   * Many, one behind the other. @param target as long as they are together; what stands in it counts only when all are
   * given, and nobody writes there once this has ended @returns those that are not given
   */
  async getShards(
    at: UnitPlace,
    wanted: readonly WantedBytes[],
    target: Uint8Array,
    options: CallOptions = {},
  ): Promise<readonly ShardFailure[]> {
    if (target.length > MANY_BYTES_MAX) return this.#oneByOne(at, wanted, target, options)
    const { bids, sizes } = columnsOf(wanted)
    const sent = {
      ...{ ...options, into: target, bulk: 'down' as const },
      body: [Buffer.from(storageJson({ bids, sizes }))],
      answerBytesMax: Math.max(JSON_BYTES_MAX, target.length),
    }
    const answer = await this.#call(at.address, 'shards/get', chunkOf(at), sent)
    const { status, body, isWhole } = answer
    if (isWhole && status === 200 && body.length === target.length) return []
    const failures = isWhole && status === 207 ? failuresAnswer.safeParse(jsonOf(body)) : undefined
    if (failures?.success && isOf(wanted, failures.data)) return failures.data
    throw new TroupeError('unavailable', `${at.address} broke off in the middle of shards`)
  }

  /** Many, of no more than `MANY_BYTES_MAX`. @param source them, one behind the other @returns those that were deleted there */
  async putShards(
    at: UnitPlace,
    shards: readonly PutShard[],
    source: Uint8Array,
    options: CallOptions = {},
  ): Promise<readonly ShardFailure[]> {
    const crcs = shards.map(({ crc }) => crc)
    const line = Buffer.from(`${storageJson({ ...columnsOf(shards), crcs })}\n`)
    const sent = { ...options, body: [line, source], bulk: 'up' as const }
    return this.#read(failuresAnswer, at.address, 'shards/put', chunkOf(at), sent)
  }

  async statShard(at: UnitPlace, bid: bigint, options: CallOptions = {}): Promise<ShardInfo> {
    return this.#read(shardAnswer, at.address, 'shard/stat', { ...chunkOf(at), bid }, options)
  }

  /** @param page `from` 0n is the first page, `next` of an answer the next one; 0n: there is none */
  async listShards(
    at: UnitPlace,
    page: { from: bigint; status: number; count: number },
    options: CallOptions = {},
  ): Promise<{ shards: ShardInfo[]; next: bigint }> {
    const { from: startbid, status, count } = page
    const parts = { ...chunkOf(at), startbid, status, count }
    const answer = await this.#read(shardsAnswer, at.address, 'shard/list', parts, options)
    return { shards: answer.shard_infos, next: answer.next }
  }

  /**
   * Into this chunk, from another one, by the blobnode of this one. @returns those that were not copied
   * @throws StorageRefusal, TroupeError: this chunk, its disk or its blobnode
   */
  async copyShards(
    at: UnitPlace,
    from: UnitPlace,
    shards: readonly WantedShard[],
    options: CallOptions = {},
  ): Promise<CopyFailure[]> {
    const place = { host: from.address, disk_id: from.diskId, vuid: from.vuid }
    const wanted = shards.map(({ bid, size, crc }) => ({ bid, size, crc }))
    const body = Buffer.from(storageJson({ from: place, shards: wanted }))
    const sent = { ...options, body: [body] }
    return (await this.#read(copyAnswer, at.address, 'shard/copy', chunkOf(at), sent)).failed
  }

  /** As a list, of all shards, and those that are not what was written; a page may hold fewer than `count`. */
  async verifyShards(
    at: UnitPlace,
    { from: startbid, count }: { from: bigint; count: number },
    options: CallOptions = {},
  ): Promise<{ shards: ShardInfo[]; corrupt: bigint[]; next: bigint }> {
    const parts = { ...chunkOf(at), startbid, count }
    const answer = await this.#read(verifiedAnswer, at.address, 'shard/verify', parts, options)
    const { shard_infos: shards, corrupt, next } = answer
    return { shards, corrupt, next }
  }

  async markDelete(at: UnitPlace, bid: bigint, options: CallOptions = {}): Promise<void> {
    await this.#call(at.address, 'shard/markdelete', { ...chunkOf(at), bid }, options)
  }

  async deleteShard(at: UnitPlace, bid: bigint, options: CallOptions = {}): Promise<void> {
    await this.#call(at.address, 'shard/delete', { ...chunkOf(at), bid }, options)
  }

  close(): void {
    this.#peers.close()
  }

  /** The range, or as much of it as had come; `length` is what was promised. */
  async #bytes(
    at: UnitPlace,
    bid: bigint,
    range: GetOptions['range'],
    options: CallOptions,
  ): Promise<{ body: Buffer; length: number }> {
    const headers: Record<string, string> =
      range === undefined ? {} : { range: `bytes=${range.from}-${range.to - 1}` }
    const sent = { ...options, headers, answerBytesMax: SHARD_BYTES_MAX, bulk: 'down' as const }
    const parts = { ...chunkOf(at), bid }
    const answer = await this.#call(at.address, 'shard/get', parts, sent)
    const length = Number(answer.headers['content-length'])
    const wanted = range === undefined ? length : range.to - range.from
    if (answer.status === (range === undefined ? 200 : 206) && length === wanted) {
      return { body: answer.body, length }
    }
    const why = `${at.address} answers ${length} bytes where ${wanted} were asked for`
    throw new TroupeError('unavailable', why)
  }

  /** Such as are too large to be held whole together. */
  async #oneByOne(
    at: UnitPlace,
    wanted: readonly WantedBytes[],
    target: Uint8Array,
    options: CallOptions,
  ): Promise<readonly ShardFailure[]> {
    const failed: ShardFailure[] = []
    let place = 0
    for (const { bid, size } of wanted) {
      try {
        const bytes = await this.getShard(at, bid, options)
        if (bytes.length !== size) throw refusal(658, `shard ${bid} has ${bytes.length} bytes`)
        copyBytes(target, place, bytes)
      } catch (thrown) {
        if (!isOfShard(thrown)) throw thrown
        failed.push({ bid, why: thrown })
      }
      place += size
    }
    return failed
  }

  async #read<TCall extends CallName, TAnswer>(
    schema: z.ZodType<TAnswer>,
    address: string,
    call: TCall,
    parts: NoInfer<CallParts<TCall>>,
    sent: Sent,
  ): Promise<TAnswer> {
    const { body, isWhole } = await this.#call(address, call, parts, sent)
    const answer = isWhole ? schema.safeParse(jsonOf(body)) : undefined
    if (answer?.success) return answer.data
    const why = `what answers at ${address} is no blobnode: its answer to ${call} cannot be read`
    throw new TroupeError('unavailable', why)
  }

  async #call<TCall extends CallName>(
    address: string,
    call: TCall,
    parts: NoInfer<CallParts<TCall>>,
    sent: Sent,
  ): Promise<PeerAnswer> {
    const { query, headers, body, into, signal, io } = sent
    const { answerBytesMax = JSON_BYTES_MAX, bulk } = sent
    const words = [query, io === undefined || io === 'client' ? undefined : `io=${io}`]
    const search = words.filter((word) => word !== undefined).join('&')
    const answer = await this.#peers.call(address, {
      method: CALLS[call].method,
      path: pathOf(call, parts) + (search === '' ? '' : `?${search}`),
      headers: { ...this.#headers, ...headers },
      ...{ timeoutMs: this.#timeoutMs, answerBytesMax, signal },
      ...(bulk === undefined ? {} : { bulk }),
      ...(body === undefined ? {} : { body }),
      ...(into === undefined ? {} : { into }),
    })
    if (answer.status < 300) return answer
    throw failureOf(address, answer)
  }
}

/** At least one, and no others: whoever asks does without them the next time, and would else ask for ever. */
function isOf(wanted: readonly WantedBytes[], failed: readonly ShardFailure[]): boolean {
  const bids = new Set(wanted.map(({ bid }) => bid))
  return failed.length > 0 && failed.every(({ bid }) => bids.has(bid))
}

/** Two rows of numbers: of many shards they are read in half the time. */
function columnsOf(shards: readonly WantedBytes[]): { bids: bigint[]; sizes: number[] } {
  return { bids: shards.map(({ bid }) => bid), sizes: shards.map(({ size }) => size) }
}

function chunkOf({ diskId, vuid }: UnitPlace): CallParts<'chunk/stat'> {
  return { diskid: diskId, vuid }
}

function failureOf(address: string, { status, body }: PeerAnswer): TroupeError {
  const text = body.toString('utf8')
  const refused = status >= 600 ? readRefusal(status, text) : undefined
  if (refused !== undefined) return refused
  if (status === 401 || status === 403) {
    const why = `the blobnode at ${address} wants its token, or another one`
    return new TroupeError('unauthorized', why)
  }
  const { error } = (jsonOf(body) ?? {}) as { error?: unknown }
  const why = typeof error === 'string' ? error : `HTTP ${status}: is it a blobnode?`
  return new TroupeError('unavailable', `${address}: ${why}`)
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return parseStorageJson(bytes.toString('utf8'))
  } catch {
    return undefined
  }
}
