/**
 * The chunk files of one disk: what a blobnode serves. Decides: which chunks there are and how many may be,
 * which requests are refused before they reach a chunk, what is kept free so that deletes still find
 * room, and how a disk is found to be gone though its open files still answer. Leaves to others: the
 * chunks themselves (`chunk.ts`), and who may ask (blobnode).
 *
 *     disk.json       whose directory it is
 *     owners/         which process has it
 *     chunks/         <vuid>.chunk
 *     probe           written, flushed and read back by `probe()`
 */
import { join } from 'node:path'
import type { Clock, Log } from '../../../../src/index.ts'
import { refusal, StorageRefusal, type Vuid } from '../codes/index.ts'
import { Chunk, type ChunkDeps, type ChunkStat, type ShardBody } from './chunk.ts'
import { DRAFT_END } from './chunk-file.ts'
import { DiskHealth } from './disk-health.ts'
import { claimDirectory, IDENTITY_FILE, ownDirectory } from './disk-identity.ts'
import { type FileOps, type FileSystemSpace, realFileOps } from './file-ops.ts'
import type { Range, ShardBytes, ShardFailure, WantedBytes } from './shard-bytes.ts'
import type { ShardInfo } from './shard-index.ts'

export interface DiskFilesOptions {
  directory: string
  diskId: number
  clock: Clock
  log: Log
  /** Called once. */
  onBroken?: (why: string) => void
  /** No chunk may be made larger. */
  chunkBytesMax?: number
  /** Unless given: as many as fit, and a few. */
  chunksMax?: number
  /** Puts are refused when less is free. */
  reservedBytes?: number
  /** For so long a late repair hears that a shard was deleted. */
  tombstoneKeepMs?: number
  ops?: FileOps
}

export interface DiskUsage {
  sizeBytes: number
  freeBytes: number
  usedBytes: number
  chunks: number
  chunksMax: number
}

export const CHUNK_BYTES_MAX = 17_179_869_184
const RESERVED_BYTES = 67_108_864
/** As long as messages that ask for repairs are kept. */
const TOMBSTONE_KEEP_MS = 720 * 3_600_000
const CHUNKS_MAX_LEAST = 64
const CHUNKS_DIRECTORY = 'chunks'
const PROBE_FILE = 'probe'
const CHUNK_FILE = /^([1-9]\d{0,19})\.chunk$/
const VUID_MAX = 2n ** 64n - 1n
const LIST_COUNT_MAX = 10_000
/** Of chunks that were released, so that whoever comes late hears so. */
const RELEASED_MAX = 10_000
const OPEN_AT_ONCE = 8

interface Parts {
  directory: string
  ops: FileOps
  health: DiskHealth
  giveBack: () => void
  /** Of `disk.json`. */
  uuid: string
  identity: string
}

export class DiskFiles {
  readonly #options: Required<Omit<DiskFilesOptions, 'onBroken' | 'chunksMax' | 'ops'>>
  readonly #parts: Parts
  readonly #chunkDeps: ChunkDeps
  readonly #chunksMax: number
  readonly #chunks = new Map<Vuid, Chunk>()
  readonly #making = new Map<Vuid, Promise<void>>()
  /** Why their files cannot be used. */
  readonly #unreadable = new Map<Vuid, StorageRefusal>()
  readonly #released = new Set<Vuid>()
  #space: FileSystemSpace
  #compactions: Promise<void> = Promise.resolve()
  #isClosed = false

  private constructor(options: DiskFilesOptions, parts: Parts, space: FileSystemSpace) {
    this.#options = {
      chunkBytesMax: CHUNK_BYTES_MAX,
      reservedBytes: RESERVED_BYTES,
      tombstoneKeepMs: TOMBSTONE_KEEP_MS,
      ...options,
    }
    this.#parts = parts
    this.#space = space
    const fitting = Math.floor(space.sizeBytes / this.#options.chunkBytesMax)
    this.#chunksMax = options.chunksMax ?? Math.max(CHUNKS_MAX_LEAST, fitting)
    const { ops, health } = parts
    const { clock, log, tombstoneKeepMs } = this.#options
    const inTurn = (compact: () => Promise<void>) => {
      this.#compactions = this.#compactions.then(compact)
    }
    this.#chunkDeps = { ops, health, clock, log, tombstoneKeepMs, inTurn }
  }

  /**
   * Makes the directory a disk's, or checks that it is this one's. What a crash left is put right first.
   * @throws StorageRefusal 606, 607, 614 when it is not to be used
   */
  static async open(options: DiskFilesOptions): Promise<DiskFiles> {
    const { directory, diskId, ops = realFileOps, onBroken = () => {} } = options
    const chunks = join(directory, CHUNKS_DIRECTORY)
    await ops.makeDirectory(directory)
    const uuid = await claimDirectory(ops, directory, diskId)
    const giveBack = ownDirectory(directory)
    try {
      await ops.makeDirectory(chunks)
      await ops.syncDirectory(directory)
      const health = new DiskHealth(directory, onBroken)
      const identity = await identityOf(ops, directory)
      const parts = { directory, ops, health, giveBack, uuid, identity }
      const files = new DiskFiles(options, parts, await ops.space(directory))
      await files.#openChunks(chunks)
      return files
    } catch (thrown) {
      giveBack()
      throw thrown
    }
  }

  /** No other directory has it. */
  get uuid(): string {
    return this.#parts.uuid
  }

  /** Why; every call is refused from then on. */
  get broken(): string | undefined {
    return this.#parts.health.broken
  }

  /** Again is welcome. @throws StorageRefusal 601 when it is there with another size, 602, 615, 632 */
  async createChunk(vuid: Vuid, bytesMax: number): Promise<void> {
    this.#check(vuid)
    const { chunkBytesMax } = this.#options
    if (!Number.isInteger(bytesMax) || bytesMax < 1 || bytesMax > chunkBytesMax) {
      throw refusal(602, `a chunk has 1 to ${chunkBytesMax} bytes here, not ${bytesMax}`)
    }
    if (this.#making.has(vuid)) await this.#making.get(vuid)
    const there = this.#chunks.get(vuid)?.stat()
    if (there?.totalBytes === bytesMax) return
    if (there) throw refusal(601, `chunk ${vuid} is there, with ${there.totalBytes} bytes`)
    if (this.#unreadable.has(vuid)) throw refusal(601, `chunk ${vuid} is there, and damaged`)
    if (this.#count() >= this.#chunksMax) {
      throw refusal(632, `the disk has ${this.#chunksMax} chunks already; release some`)
    }
    this.#checkSpace(0)
    const made = this.#makeChunk(vuid, bytesMax).finally(() => this.#making.delete(vuid))
    this.#making.set(vuid, made)
    return made
  }

  setChunkStatus(vuid: Vuid, status: 'readonly' | 'normal'): Promise<void> {
    return this.#within(vuid, (chunk) => chunk.setReadonly(status === 'readonly'))
  }

  async releaseChunk(vuid: Vuid, force: boolean): Promise<void> {
    this.#check(vuid)
    const { ops, health } = this.#parts
    if (this.#unreadable.has(vuid)) {
      if (!force) throw refusal(625, `chunk ${vuid} is damaged; force its release`)
      await health.guard('cannot remove a chunk', () => ops.remove(this.#pathOf(vuid)))
    } else {
      await this.#chunk(vuid).release(force)
    }
    const chunks = join(this.#parts.directory, CHUNKS_DIRECTORY)
    await health.guard('cannot remove a chunk', () => ops.syncDirectory(chunks))
    this.#chunks.delete(vuid)
    this.#unreadable.delete(vuid)
    this.#released.add(vuid)
    const [oldest] = this.#released
    if (this.#released.size > RELEASED_MAX && oldest) this.#released.delete(oldest)
  }

  statChunk(vuid: Vuid): ChunkStat {
    this.#check(vuid)
    return this.#chunk(vuid).stat()
  }

  /** Those whose files can be read. */
  chunks(): ChunkStat[] {
    this.#parts.health.check()
    return [...this.#chunks.values()].map((chunk) => chunk.stat())
  }

  /**
   * Acknowledged when it is on the disk. The newest counts where there is one already. The body is not to
   * change meanwhile.
   * @param crc of the bytes that were meant, where somebody says @throws StorageRefusal 600, 615, 621, 622, 627, 652, 654, 658
   */
  async putShard(
    vuid: Vuid,
    bid: bigint,
    size: number,
    body: ShardBody,
    crc?: number,
  ): Promise<{ crc: number }> {
    this.#check(vuid)
    if (bid < 1n || bid > VUID_MAX) throw refusal(657, `there is no blob id ${bid}`)
    if (!Number.isSafeInteger(size) || size < 0) throw refusal(600, `no shard has ${size} bytes`)
    const { chunkBytesMax } = this.#options
    if (size > chunkBytesMax) throw refusal(652, `no chunk here has room for ${size} bytes`)
    this.#checkSpace(size)
    const answer = await this.#within(vuid, (chunk) => chunk.put(bid, size, body, crc))
    this.#space.freeBytes -= size
    return answer
  }

  /** @param range `to` is behind its last byte @throws StorageRefusal 651, 654, 655, 658 */
  readShard(vuid: Vuid, bid: bigint, range?: Range): Promise<ShardBytes> {
    return this.#within(vuid, (chunk) => chunk.reader.read(bid, range))
  }

  /** Many, one behind the other in `target`; or those that it does not give. */
  readShards(
    vuid: Vuid,
    wanted: readonly WantedBytes[],
    target: Uint8Array,
  ): Promise<ShardFailure[]> {
    return this.#within(vuid, (chunk) => chunk.reader.readTogether(wanted, target))
  }

  /** Whether all that is kept of it is what was written. @throws StorageRefusal 651, 654, 658 */
  verifyShard(vuid: Vuid, bid: bigint): Promise<boolean> {
    return this.#within(vuid, (chunk) => chunk.reader.verify(bid))
  }

  statShard(vuid: Vuid, bid: bigint): ShardInfo {
    this.#check(vuid)
    return this.#chunk(vuid).info(bid)
  }

  /** Those of them that it has; of others nothing is said. */
  findShards(vuid: Vuid, bids: readonly bigint[]): ShardInfo[] {
    this.#check(vuid)
    const chunk = this.#chunk(vuid)
    return bids.flatMap((bid) => chunk.find(bid) ?? [])
  }

  /** @param page `status` 0 for all, or their flag @returns `next` 0 at the end @throws StorageRefusal 656 */
  listShards(
    vuid: Vuid,
    { from, status, count }: { from: bigint; status: number; count: number },
  ): { shards: ShardInfo[]; next: bigint } {
    this.#check(vuid)
    if (!Number.isInteger(count) || count < 1 || count > LIST_COUNT_MAX) {
      throw refusal(656, `a list has 1 to ${LIST_COUNT_MAX} shards, not ${count}`)
    }
    if (![0, 1, 2].includes(status)) throw refusal(600, `no shard has status ${status}`)
    return this.#chunk(vuid).list(from, status, count)
  }

  /** @throws StorageRefusal 651, 654 */
  markDeleted(vuid: Vuid, bid: bigint): Promise<void> {
    return this.#within(vuid, (chunk) => chunk.markDeleted(bid))
  }

  /** @throws StorageRefusal 651, 653 */
  deleteShard(vuid: Vuid, bid: bigint): Promise<void> {
    return this.#within(vuid, (chunk) => chunk.delete(bid))
  }

  /** What is free is as old as the last probe. */
  usage(): DiskUsage {
    let usedBytes = 0
    for (const chunk of this.#chunks.values()) usedBytes += chunk.stat().usedBytes
    const { sizeBytes, freeBytes } = this.#space
    return {
      ...{ sizeBytes, freeBytes: Math.max(0, freeBytes), usedBytes },
      ...{ chunks: this.#count(), chunksMax: this.#chunksMax },
    }
  }

  /** @throws StorageRefusal 613 when the disk is not what it was, or does not work */
  async probe(): Promise<void> {
    const { ops, health, directory, identity } = this.#parts
    await health.guard('the probe failed', async () => {
      if ((await identityOf(ops, directory)) !== identity) {
        throw new Error(`${directory} is not the directory that was opened`)
      }
      for (const chunk of this.#chunks.values()) {
        if (await chunk.isLost()) throw new Error(`the file ${chunk.path} is gone`)
      }
      this.#space = await ops.space(directory)
      // A disk that is full works, and has nothing to spare for this.
      if (this.#space.freeBytes >= this.#options.reservedBytes) await this.#writeAndRead()
    })
  }

  /** What was asked for is done first. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.allSettled(this.#making.values())
    await Promise.all([...this.#chunks.values()].map((chunk) => chunk.close()))
    await this.#compactions
    this.#parts.giveBack()
  }

  async #openChunks(directory: string): Promise<void> {
    const { ops } = this.#parts
    const names = await ops.names(directory)
    const waiting = names.values()
    const openNext = async () => {
      for (const name of waiting) {
        if (name.endsWith(DRAFT_END)) await ops.remove(join(directory, name))
        const vuid = CHUNK_FILE.exec(name)?.[1]
        if (vuid !== undefined) await this.#openChunk(BigInt(vuid))
      }
    }
    const results = await Promise.allSettled(Array.from({ length: OPEN_AT_ONCE }, openNext))
    const failure = results.find(({ status }) => status === 'rejected')
    if (failure?.status !== 'rejected') return
    await Promise.all([...this.#chunks.values()].map((chunk) => chunk.close()))
    throw failure.reason
  }

  async #openChunk(vuid: Vuid): Promise<void> {
    try {
      this.#chunks.set(vuid, await Chunk.open(this.#pathOf(vuid), vuid, this.#chunkDeps))
    } catch (thrown) {
      if (!(thrown instanceof StorageRefusal) || ![624, 658].includes(thrown.status)) throw thrown
      this.#unreadable.set(vuid, thrown)
      this.#options.log.error({ chunk: String(vuid) }, `a chunk cannot be used: ${thrown.message}`)
    }
  }

  async #makeChunk(vuid: Vuid, bytesMax: number): Promise<void> {
    const chunk = await Chunk.create(this.#pathOf(vuid), { vuid, bytesMax }, this.#chunkDeps)
    this.#released.delete(vuid)
    this.#chunks.set(vuid, chunk)
  }

  async #writeAndRead(): Promise<void> {
    const { ops, directory } = this.#parts
    const content = Buffer.from(String(this.#options.clock.now()))
    const file = await ops.open(join(directory, PROBE_FILE), 'draft')
    try {
      await file.write([content], 0)
      await file.sync()
      const back = Buffer.alloc(content.length)
      await file.read(back, 0)
      if (!back.equals(content)) throw new Error('what was written is not what is read')
    } finally {
      await file.close()
    }
  }

  async #within<T>(vuid: Vuid, act: (chunk: Chunk) => Promise<T>): Promise<T> {
    this.#check(vuid)
    return act(this.#chunk(vuid))
  }

  #check(vuid: Vuid): void {
    const { health, directory } = this.#parts
    health.check()
    if (this.#isClosed) throw refusal(604, `the disk ${directory} is being closed`)
    if (vuid < 1n || vuid > VUID_MAX) throw refusal(630, `there is no vuid ${vuid}`)
  }

  #chunk(vuid: Vuid): Chunk {
    const chunk = this.#chunks.get(vuid)
    if (chunk) return chunk
    const { directory } = this.#parts
    if (this.#unreadable.has(vuid)) throw this.#unreadable.get(vuid)!
    if (this.#released.has(vuid)) throw refusal(623, `chunk ${vuid} is released`)
    throw refusal(621, `there is no chunk ${vuid} on the disk ${directory}`)
  }

  #count(): number {
    return this.#chunks.size + this.#unreadable.size + this.#making.size
  }

  #checkSpace(bytes: number): void {
    const { directory } = this.#parts
    if (this.#space.freeBytes - bytes >= this.#options.reservedBytes) return
    throw refusal(615, `the disk ${directory} is full; delete blobs or add disks`)
  }

  #pathOf(vuid: Vuid): string {
    return join(this.#parts.directory, CHUNKS_DIRECTORY, `${vuid}.chunk`)
  }
}

/** That of the directories, and that whose they are still stands in them. */
async function identityOf(ops: FileOps, directory: string): Promise<string> {
  const paths = [directory, join(directory, IDENTITY_FILE), join(directory, CHUNKS_DIRECTORY)]
  return (await Promise.all(paths.map((path) => ops.identity(path)))).join(' ')
}
