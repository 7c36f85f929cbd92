/**
 * What moving chunks is held against. Decides what counts: for a copy `cp` of the same chunk files, and a flush
 * of each, since a chunk whose old one goes has to be on the disk (what `cp` takes alone is shown as well); for
 * a recovery the slower one of the bare library, on one thread and of bytes as they come (of memory that nobody has
 * written it is a tenth faster), and of bare files: for each shard the others that it is made of are read from
 * files of their own, and it is written and flushed.
 */
import { execFile } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { mkdir, open, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { type CodeMode, shardBytesOf, unitCount } from '../../machines/storage/plane/codes/index.ts'
import { rebuildPlan } from '../../machines/storage/plane/erasure/rebuild-plan.ts'
import { ReedSolomon } from '../../machines/storage/plane/erasure/reed-solomon.ts'
import { each } from '../measure.ts'

const run = promisify(execFile)
/** Blobs under way in bare files. */
const AT_ONCE = 4

/** Seconds. */
export async function copyFiles(
  files: readonly string[],
  to: string,
): Promise<{ unflushed: number; flushed: number }> {
  await rm(to, { recursive: true, force: true })
  await mkdir(to, { recursive: true })
  const start = performance.now()
  await run('cp', [...files, to])
  const copied = performance.now()
  await run(
    'sync',
    files.map((file) => join(to, basename(file))),
  )
  const flushed = performance.now()
  return { unflushed: (copied - start) / 1_000, flushed: (flushed - start) / 1_000 }
}

export interface BareRecovery {
  mode: CodeMode
  blobBytes: number
  /** Shards that are made. */
  count: number
}

/** Seconds of each alone; a unit of data is what is lost. */
export async function bareRecovery(
  directory: string,
  given: BareRecovery,
): Promise<{ library: number; files: number }> {
  await mkdir(directory, { recursive: true })
  const library = await libraryAlone(given)
  const files = await filesAlone(directory, given)
  await rm(directory, { recursive: true })
  return { library, files }
}

/** Turns come between: workers renew nothing meanwhile, but they ask for tasks here. */
async function libraryAlone({ mode, blobBytes, count }: BareRecovery): Promise<number> {
  const shardBytes = shardBytesOf(mode, blobBytes)
  const units = randomFillSync(Buffer.alloc(unitCount(mode) * shardBytes))
  const data = Array.from({ length: mode.data }, (_, unit) => unit)
  const present = [...data.slice(1), mode.data]
  const library = ReedSolomon.load()
  const make = (from: readonly number[], wanted: number) => {
    for (const step of rebuildPlan(mode, from, [wanted]) ?? []) {
      if (step.kind === 'code') library.run(step, units, shardBytes)
    }
  }
  make(data, mode.data)
  const right = Buffer.from(units.subarray(0, shardBytes))
  units.fill(0, 0, shardBytes)
  const start = performance.now()
  for (let n = 0; n < count; n += 1) {
    make(present, 0)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const seconds = (performance.now() - start) / 1_000
  if (!right.equals(units.subarray(0, shardBytes))) throw new Error('the library made other bytes')
  return seconds
}

async function filesAlone(
  directory: string,
  { mode, blobBytes, count }: BareRecovery,
): Promise<number> {
  const shardBytes = shardBytesOf(mode, blobBytes)
  const bytes = Buffer.alloc(shardBytes, 1)
  const sources = await Promise.all(
    Array.from({ length: mode.data }, (_, n) => open(join(directory, `source${n}`), 'w+')),
  )
  const target = await open(join(directory, 'target'), 'w+')
  for (const source of sources) {
    for (let n = 0; n < count; n += 1) await source.write(bytes, 0, shardBytes, n * shardBytes)
    await source.sync()
  }
  const buffers = Array.from({ length: AT_ONCE }, () => sources.map(() => Buffer.alloc(shardBytes)))
  const ms = await each(count, AT_ONCE, async (n) => {
    const at = n * shardBytes
    const own = buffers[n % AT_ONCE] ?? []
    await Promise.all(
      sources.map((source, unit) => source.read(own[unit] ?? bytes, 0, shardBytes, at)),
    )
    await target.write(bytes, 0, shardBytes, at)
    await target.datasync()
  })
  await Promise.all([...sources, target].map((file) => file.close()))
  return ms / 1_000
}
