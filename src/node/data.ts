/**
 * A node's data directory. Decides: what stands in it, the number of shards (fixed when it is made),
 * and the row by which a newer process on the same directory makes this one stop.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { LmdbStore } from '../adapters/lmdb/index.ts'
import type { Random, Store } from '../ports/index.ts'
import { pack, TroupeError, unpack } from '../protocol/index.ts'
import type { OwnerCondition } from '../shard/index.ts'

const SHARD_COUNT = 64

/** Rows of the node itself lie behind those of every shard: 0xffff is no shard. */
const FORMAT_KEY = Uint8Array.of(0xff, 0xff, 0x01)
const OWNER_KEY = Uint8Array.of(0xff, 0xff, 0x02)
const FORMAT_VERSION = 1

export interface DataDirectory {
  readonly store: Store
  readonly owner: OwnerCondition
  readonly shardCount: number
  readonly directoryOf: (part: 'worker' | 'apps', ...below: string[]) => string
}

interface Format {
  version: number
  shardCount: number
  cluster: string
}

/** @throws TroupeError `store-failed`, `invalid-config` */
export async function openData(
  directory: string,
  cluster: string,
  random: Random,
): Promise<DataDirectory> {
  makePrivate(directory)
  const store = LmdbStore.open({ directory: join(directory, 'store') })
  try {
    const format = await readFormat(store, directory, cluster)
    const owner = { key: OWNER_KEY, equals: Buffer.from(random.id()) }
    await write(store, [[owner.key, owner.equals]])
    return { store, owner, shardCount: format.shardCount, directoryOf: partsOf(directory) }
  } catch (thrown) {
    await store.close()
    throw thrown
  }
}

/** Keys of apps and what commands wrote lie in it: of the users of this machine, only ours reads it. */
function makePrivate(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch {
    // The store says what is wrong with the directory.
  }
}

function partsOf(directory: string): DataDirectory['directoryOf'] {
  return (...parts) => {
    const path = join(directory, ...parts)
    mkdirSync(path, { recursive: true })
    return path
  }
}

async function readFormat(store: Store, directory: string, cluster: string): Promise<Format> {
  const bytes = store.get(FORMAT_KEY)
  if (!bytes) {
    const format: Format = { version: FORMAT_VERSION, shardCount: SHARD_COUNT, cluster }
    await write(store, [[FORMAT_KEY, pack(format)]])
    return format
  }
  const format = unpack(bytes) as Format
  if (format.version !== FORMAT_VERSION) {
    throw new TroupeError(
      'store-failed',
      `${directory} was written in format ${format.version}; this version of Troupe reads format ${FORMAT_VERSION}`,
    )
  }
  if (format.cluster !== cluster) {
    throw new TroupeError(
      'invalid-config',
      `${directory} belongs to the cluster "${format.cluster}", not "${cluster}": name that one, or another directory`,
    )
  }
  return format
}

function write(store: Store, writes: [Uint8Array, Uint8Array][]): Promise<void> {
  return new Promise((resolve, reject) => {
    store.write({
      writes,
      flushed: resolve,
      failed: ({ message }) => reject(new TroupeError('store-failed', message)),
    })
  })
}
