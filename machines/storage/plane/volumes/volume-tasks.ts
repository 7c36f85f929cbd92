/**
 * What is done for volumes: disks are chosen, chunks are made, set and released. Decides: the order of what
 * is done for one chunk, and which refusals are as good as success. Each can be cut off anywhere and run
 * again; what it is to do was written down before (`unit-rules.ts`). Leaves to others: when, and what comes of it.
 */
import { randomInt } from 'node:crypto'
import { z } from 'zod'
import { type TaskAttempt, task } from '../../../../src/index.ts'
import { codeModeOf, StorageRefusal, vuidOf } from '../codes/index.ts'
import { type DiskView, place } from '../disks/index.ts'
import { whyOf } from '../why.ts'
import { portsOf, type UnitPlace, type VolumePorts } from './ports.ts'
import { DAMAGED, GONE } from './unusable-chunks.ts'
import type { Chunk, ChunkFailure, ChunkMode, VolumeResult } from './volume-record.ts'

/** Of all volumes of a node: what waits for blobnodes costs a node little. */
const AT_ONCE = 16
/** Of one volume: it has at most 36 chunks. */
const CHUNKS_AT_ONCE = 10
/** A task that fails for the platform's own reasons is tried a few times; then the volume waits and asks anew. */
const RETRY = { attemptsMax: 5, initialMs: 300, backoffMaxMs: 5_000 }
const QUEUE = 'storage.volumes'

const chunk = z.object({ index: z.int(), epoch: z.int(), diskId: z.int() })
const common = { runsOn: 'node', concurrency: AT_ONCE, retry: RETRY } as const

const chooseInput = z.object({
  mode: z.int(),
  wanted: z.array(z.int()),
  placed: z.array(chunk),
  /** Chunks that are to be replaced. */
  replaced: z.array(chunk),
  excludes: z.array(z.int()),
})
const chunksInput = z.object({ vid: z.int(), chunks: z.array(chunk) })
const makeInput = chunksInput.extend({ chunkBytesMax: z.int() })

export const chooseTask = task<z.output<typeof chooseInput>, VolumeResult>({
  ...{ name: 'volume-choose', queue: `${QUEUE}.choose`, ...common },
  input: chooseInput,
  run: choose,
})

export const makeTask = task<z.output<typeof makeInput>, VolumeResult>({
  ...{ name: 'volume-make', queue: `${QUEUE}.make`, ...common },
  input: makeInput,
  run: make,
})

export const releaseTask = task<z.output<typeof chunksInput>, VolumeResult>({
  ...{ name: 'volume-release', queue: `${QUEUE}.release`, ...common },
  input: chunksInput,
  run: release,
})

export const lockTask = task<z.output<typeof chunksInput>, VolumeResult>({
  ...{ name: 'volume-lock', queue: `${QUEUE}.lock`, ...common },
  input: chunksInput,
  run: (attempt) => set(attempt, 'readonly'),
})

export const unlockTask = task<z.output<typeof chunksInput>, VolumeResult>({
  ...{ name: 'volume-unlock', queue: `${QUEUE}.unlock`, ...common },
  input: chunksInput,
  run: (attempt) => set(attempt, 'readwrite'),
})

async function choose(attempt: TaskAttempt<z.output<typeof chooseInput>>): Promise<VolumeResult> {
  const { mode, wanted, placed, replaced, excludes } = attempt.input
  const disks = await portsOf(attempt).table.all({ fresh: true })
  const placement = place({
    ...{ disks: disks.values(), mode: codeModeOf(mode), wanted, placed, replaced, random },
    excludes: new Set(excludes),
  })
  if ('why' in placement) return { type: 'UNPLACEABLE', why: placement.why }
  return { type: 'CHOSEN', picks: placement.picks }
}

/** As fine as weights have to be told apart. */
const PARTS = 2 ** 32

function random(): number {
  return randomInt(PARTS) / PARTS
}

/**
 * First room in the disk's ledger, then the chunk. A call that comes late, behind the release of what it is
 * to make, leaves one that nobody knows of: those are looked for (`stray-chunks.ts`).
 */
async function make(attempt: TaskAttempt<z.output<typeof makeInput>>): Promise<VolumeResult> {
  const { chunkBytesMax } = attempt.input
  const { done: made, failed } = await each(attempt, async ({ disks, chunks }, at) => {
    await disks.reserve(at.diskId, at.vuid, chunkBytesMax)
    await chunks.createChunk(at, chunkBytesMax)
  })
  return { type: 'MADE', made, failed }
}

/** First the chunk, then its room in the ledger. */
async function release(attempt: TaskAttempt<z.output<typeof chunksInput>>): Promise<VolumeResult> {
  const { done: released, failed } = await each(attempt, releaseChunk)
  return { type: 'RELEASED', released, failed }
}

/** One that is nobody's; again is welcome. @throws as its blobnode refuses */
export async function releaseChunk(
  { disks, chunks }: Pick<VolumePorts, 'disks' | 'chunks'>,
  at: UnitPlace,
  disk: Pick<DiskView, 'status'>,
): Promise<void> {
  if (disk.status === 1) {
    let isDamaged = false
    await chunks.setChunk(at, 'readonly').catch((thrown: unknown) => {
      isDamaged = isRefused(thrown, DAMAGED)
      if (!isDamaged && !isRefused(thrown, GONE)) throw thrown
    })
    await unless(GONE, chunks.releaseChunk(at, isDamaged))
  }
  // Of a disk that is broken nothing can be released: it comes back under another id, empty. Where only
  // its blobnode says so yet, this is tried again, and by then its record does.
  await unless(NO_DISK, disks.free(at.diskId, at.vuid))
}

async function set(
  attempt: TaskAttempt<z.output<typeof chunksInput>>,
  to: ChunkMode,
): Promise<VolumeResult> {
  const { failed } = await each(attempt, async ({ chunks }, at, disk) => {
    // Nobody writes to a broken disk, nor to a chunk that cannot be used.
    if (disk.status === 1) await unless(UNWRITABLE, chunks.setChunk(at, to))
  })
  return { type: 'CHUNKS_SET', to, failed }
}

/** It cannot be used, or its disk is broken. */
const UNWRITABLE: ReadonlySet<number> = new Set([...GONE, ...DAMAGED, 613])
const NO_DISK: ReadonlySet<number> = new Set([911])

async function unless(statuses: ReadonlySet<number>, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (thrown) {
    if (!isRefused(thrown, statuses)) throw thrown
  }
}

function isRefused(thrown: unknown, statuses: ReadonlySet<number>): boolean {
  return thrown instanceof StorageRefusal && statuses.has(thrown.status)
}

type ForChunk = (ports: VolumePorts, at: UnitPlace, disk: DiskView) => Promise<void>

/** All of them, some at a time; what goes wrong with one keeps none of the others back. */
async function each(
  attempt: TaskAttempt<{ vid: number; chunks: readonly Chunk[] }>,
  work: ForChunk,
): Promise<{ done: Chunk[]; failed: ChunkFailure[] }> {
  const { input, signal } = attempt
  const ports = portsOf(attempt)
  const table = await ports.table.all({ fresh: true })
  const done: Chunk[] = []
  const failed: ChunkFailure[] = []
  const left = [...input.chunks]
  const one = async (): Promise<void> => {
    for (let chunk = left.shift(); chunk !== undefined; chunk = left.shift()) {
      signal.throwIfAborted()
      const { index, epoch, diskId } = chunk
      const disk = table.get(diskId) ?? unknownDisk(diskId)
      const vuid = vuidOf({ vid: input.vid, index, epoch })
      try {
        await work(ports, { address: disk.address, diskId, vuid }, disk)
        done.push(chunk)
      } catch (thrown) {
        failed.push({ ...chunk, why: whyOf(thrown) })
      }
    }
  }
  await Promise.all(Array.from({ length: CHUNKS_AT_ONCE }, one))
  signal.throwIfAborted()
  return { done, failed }
}

/** Its record was removed by an operator: nothing can be done there any more. */
function unknownDisk(diskId: number): DiskView {
  return {
    ...{ diskId, uuid: '', address: '', host: '', rack: '', idc: '', path: '', via: '', why: null },
    ...{ standing: 'dropped', status: 5, isHeard: false, isUp: false, sizeBytes: 0 },
    ...{
      freeBytes: 0,
      usedBytes: 0,
      units: 0,
      chunks: 0,
      chunksMax: 0,
      createdAt: 0,
      updatedAt: 0,
    },
  }
}
