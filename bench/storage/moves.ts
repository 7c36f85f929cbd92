/**
 * Chunks that are copied, and chunks that are made anew, by workers in blobnodes (three, each with disks of its
 * own, in processes of their own), beside `cp`, the bare library and bare files. Decides: the order within a
 * round, so that a busy moment of the machine is in the figures and in their limits; that what was moved goes
 * before the next round, so that each round does the same.
 */
import type { ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { BlobnodeClient } from '../../machines/storage/plane/blobnode/index.ts'
import {
  type CodeMode,
  codeModeOf,
  shardBytesOf,
  unitCount,
  vuidOf,
} from '../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../machines/storage/plane/erasure/index.ts'
import { each, pause } from '../measure.ts'
import { bareRecovery, copyFiles } from './move-limits.ts'
import { freePort, startProcess } from './processes.ts'
import { ScriptedScheduler, type ScriptedTask, type WireUnit } from './scripted-scheduler.ts'

const BLOBNODES = 3
const CHUNK_BYTES_MAX = 4 * 1024 ** 3
const STARTS_WITHIN_MS = 60_000
const PUTS_AT_ONCE = 12

export interface MovesParams {
  data: string
  mode: string
  blobBytes: number
  volumes: number
  /** Of each chunk that moves. */
  chunkBytes: number
  rounds: number
}

/** Of one round: seconds, for `bytes` of the chunks that moved. */
export interface MovesRound {
  bytes: number
  migrate: number
  /** Copied and flushed. */
  cp: number
  /** Copied into the memory of the kernel only. */
  cpUnflushed: number
  repair: number
  library: number
  files: number
}

export async function storageMoves(params: MovesParams): Promise<MovesRound[]> {
  const farm = await MoveFarm.open(params)
  try {
    await farm.fill()
    const rounds: MovesRound[] = []
    for (let round = 0; round < params.rounds; round += 1) rounds.push(await farm.round(round))
    return rounds
  } finally {
    await farm.close()
  }
}

/** A unit, and where its file is. */
interface Placed extends WireUnit {
  path: string
}

class MoveFarm {
  readonly #params: MovesParams
  readonly #mode: CodeMode
  readonly #scheduler: ScriptedScheduler
  readonly #children: readonly ChildProcess[]
  readonly #addresses: readonly string[]
  readonly #client = new BlobnodeClient({ timeoutMs: 60_000 })
  readonly #blobs: number

  private constructor(
    params: MovesParams,
    scheduler: ScriptedScheduler,
    children: readonly ChildProcess[],
    addresses: readonly string[],
  ) {
    this.#params = params
    this.#mode = codeModeOf(params.mode)
    this.#scheduler = scheduler
    this.#children = children
    this.#addresses = addresses
    this.#blobs = Math.floor(params.chunkBytes / shardBytesOf(this.#mode, params.blobBytes))
  }

  static async open(params: MovesParams): Promise<MoveFarm> {
    const scheduler = await ScriptedScheduler.open()
    const disks = disksEach(codeModeOf(params.mode))
    const ports = await Promise.all(Array.from({ length: BLOBNODES }, freePort))
    const children = ports.map((port, index) => {
      const words = blobnodeWords(params.data, { index, disks, port, url: scheduler.url })
      const env = { UV_THREADPOOL_SIZE: String(4 * disks) }
      return startProcess('blobnode-main', words, { env })
    })
    const addresses = ports.map((port) => `http://127.0.0.1:${port}`)
    const end = performance.now() + STARTS_WITHIN_MS
    while (scheduler.disks.size < BLOBNODES * disks) {
      if (performance.now() > end) throw new Error('the blobnodes do not start')
      await pause(50)
    }
    return new MoveFarm(params, scheduler, children, addresses)
  }

  /** The same blob again and again, under ids of its own. */
  async fill(): Promise<void> {
    const { blobBytes, volumes } = this.#params
    const erasure = await Erasure.open()
    const stripe = erasure.stripe(this.#mode, blobBytes)
    stripe.data.set(randomBytes(blobBytes))
    const checksums = await erasure.encode(stripe)
    for (let vid = 1; vid <= volumes; vid += 1) {
      const units = this.#units(vid)
      for (const unit of units) await this.#client.createChunk(placeOf(unit), CHUNK_BYTES_MAX)
      await each(this.#blobs * units.length, PUTS_AT_ONCE, async (n) => {
        const index = n % units.length
        const bid = BigInt(1 + Math.floor(n / units.length))
        const crc = checksums[index]
        const options = crc === undefined ? {} : { crc }
        await this.#client.putShard(placeOf(units[index]!), bid, stripe.shard(index), options)
      })
      for (const unit of units) await this.#client.setChunk(placeOf(unit), 'readonly')
    }
    erasure.release(stripe)
    await erasure.close()
  }

  async round(round: number): Promise<MovesRound> {
    const { volumes, data, blobBytes } = this.#params
    const vids = Array.from({ length: volumes }, (_, n) => n + 1)
    const files = vids.map((vid) => this.#units(vid)[0]!.path)
    const sizes = await Promise.all(files.map(async (file) => (await stat(file)).size))
    const copies = join(data, 'copies')
    const cp = await copyFiles(files, copies)
    const migrate = await this.#move('manual_migrate', vids, round)
    const count = this.#blobs * volumes
    const bare = await bareRecovery(join(data, 'bare'), { mode: this.#mode, blobBytes, count })
    const repair = await this.#move('disk_repair', vids, round)
    await rm(copies, { recursive: true })
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    return { bytes, migrate, cp: cp.flushed, cpUnflushed: cp.unflushed, repair, ...bare }
  }

  async close(): Promise<void> {
    const ended = this.#children.map(
      (child) => new Promise((resolve) => child.once('exit', resolve)),
    )
    for (const child of this.#children) child.kill('SIGTERM')
    await Promise.all(ended)
    this.#client.close()
    this.#scheduler.close()
  }

  /** Unit 0 of each volume to a disk that has none of it; the seconds until the last is complete. */
  async #move(
    type: ScriptedTask['task_type'],
    vids: readonly number[],
    round: number,
  ): Promise<number> {
    const tasks = vids.map((vid): ScriptedTask => {
      const units = this.#units(vid)
      const source = units[0]!
      const epoch = 2 + 2 * round + (type === 'disk_repair' ? 1 : 0)
      return {
        ...{ task_id: `${type}-1-${vid}-${round}`, task_type: type, code_mode: this.#mode.id },
        ...{ source_vuid: source.vuid, source_disk_id: source.disk_id, sources: units.map(wireOf) },
        destination: this.#place(vid, 0, unitCount(this.#mode), epoch),
      }
    })
    for (const { destination } of tasks) {
      await this.#client.createChunk(placeOf(destination), CHUNK_BYTES_MAX)
    }
    const start = performance.now()
    await Promise.all(tasks.map((task) => this.#scheduler.run(task)))
    const seconds = (performance.now() - start) / 1_000
    for (const { destination } of tasks) {
      const { shards } = await this.#client.statChunk(placeOf(destination))
      if (shards !== this.#blobs) throw new Error(`${shards} of ${this.#blobs} shards were moved`)
      await this.#client.releaseChunk(placeOf(destination), true)
    }
    return seconds
  }

  #units(vid: number): Placed[] {
    return Array.from({ length: unitCount(this.#mode) }, (_, index) =>
      this.#place(vid, index, index, 1),
    )
  }

  /** @param slot of the disks, which go round by the blobnodes; each volume begins at another one */
  #place(vid: number, index: number, slot: number, epoch: number): Placed {
    const disks = BLOBNODES * disksEach(this.#mode)
    const at = (slot + vid) % disks
    const disk = 1 + at
    const vuid = vuidOf({ vid, index, epoch })
    const host = this.#addresses[at % BLOBNODES] ?? ''
    const path = join(this.#params.data, `disk${disk}`, 'chunks', `${vuid}.chunk`)
    return { vuid, host, disk_id: disk, path }
  }
}

/** One more than there are units. */
function disksEach(mode: CodeMode): number {
  return Math.ceil((unitCount(mode) + 1) / BLOBNODES)
}

function wireOf({ vuid, host, disk_id }: WireUnit): WireUnit {
  return { vuid, host, disk_id }
}

function placeOf({ vuid, host, disk_id }: WireUnit) {
  return { address: host, diskId: disk_id, vuid }
}

function blobnodeWords(
  data: string,
  { index, disks, port, url }: { index: number; disks: number; port: number; url: string },
): string[] {
  const named = Array.from({ length: disks }, (_, n) => {
    const id = 1 + index + n * BLOBNODES
    const path = join(data, `disk${id}`)
    mkdirSync(path, { recursive: true })
    return ['--disk', `${id}=${path}`]
  })
  return [
    ...['storage', 'blobnode', '--host', `h${index}`, '--rack', 'r1', '--idc', 'z1'],
    ...['--listen', `127.0.0.1:${port}`, '--log-level', 'warn', '--nodes', url],
    ...['--move-slots', '2', '--inspect-slots', '0'],
    ...named.flat(),
  ]
}
