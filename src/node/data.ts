/**
 * A node's data directory. Decides: what stands in it, the number of shards (fixed when it is made),
 * and the row by which a newer process on the same directory makes this one stop. Leaves to others:
 * the directory of a node of a cluster (member-data.ts), what is done to one while no node runs
 * (backups.ts, store-care.ts).
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { LmdbStore } from '../adapters/lmdb/index.ts'
import type { Random, Store, StoreWrite } from '../ports/index.ts'
import { DEFAULT_CONFIG, pack, TroupeError, unpack } from '../protocol/index.ts'
import type { OwnerCondition } from '../shard/index.ts'

/** Rows of the node itself lie behind those of every shard: 0xffff is no shard. */
const FORMAT_KEY = Uint8Array.of(0xff, 0xff, 0x01)
const OWNER_KEY = Uint8Array.of(0xff, 0xff, 0x02)
/** Present when the data came out of a backup. */
const RESTORED_KEY = Uint8Array.of(0xff, 0xff, 0x03)
const FORMAT_VERSION = 3

/** What stands in a data directory; whatever a node keeps there is one of them. */
export const DATA_PARTS = {
  store: 'store',
  worker: 'worker',
  nodeWorker: 'node-worker',
  apps: 'apps',
  uploads: 'uploaded-runs',
  mirrors: 'mirrored-runs',
} as const
/** All but the store, without which there is nothing that a node would serve. */
export const OTHER_PARTS = Object.values(DATA_PARTS).filter((part) => part !== 'store')
type DataPart = (typeof OTHER_PARTS)[number]
/** While a backup is restored into it. */
const RESTORING = '.restoring'

export interface DataDirectory {
  readonly store: Store
  readonly shardCount: number
  readonly directoryOf: (part: DataPart, ...below: string[]) => string
}

/** Of a node that has all shards to itself. */
export interface EmbeddedData extends DataDirectory {
  readonly owner: OwnerCondition
}

export interface DataFormat {
  version: number
  shardCount: number
  cluster: string
  /** The name of the node, where it is one of a cluster: it has its shards by the journal only. */
  member?: string
  /** Of a member that has not brought all that it had alone into the cluster yet: of that attempt. */
  publication?: string
  /** Of a member whose cluster began with data: the id of the directory that they came from. */
  founder?: string
}

/** Where the data came from, if it was a backup. */
export interface RestoredFrom {
  /** Of the backup. */
  id: string
  /** Unix ms. */
  takenAt: number
  restoredAt: number
}

/**
 * @param shardCount of data that are made now; those that are there have to have as many
 * @throws TroupeError `store-failed`, `invalid-config`
 */
export async function openData(
  directory: string,
  cluster: string,
  random: Random,
  shardCount?: number,
): Promise<EmbeddedData> {
  const store = openStore(directory)
  try {
    const format = await readFormat(store, directory, cluster, shardCount)
    const owner = { key: OWNER_KEY, equals: Buffer.from(random.id()) }
    await write(store, [[owner.key, owner.equals]])
    return { store, owner, shardCount: format.shardCount, directoryOf: partsOf(directory) }
  } catch (thrown) {
    await store.close()
    throw thrown
  }
}

/** Makes what is not there. @throws TroupeError `store-failed` */
export function openStore(directory: string): LmdbStore {
  makePrivate(directory)
  if (existsSync(restoringPath(directory))) throw notRestored(directory)
  return LmdbStore.open({ directory: storePath(directory) })
}

/** Keys of apps and what commands wrote lie in it: of the users of this machine, only ours reads it. */
function makePrivate(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
  } catch {
    // The store says what is wrong with the directory.
  }
}

export function partsOf(directory: string): DataDirectory['directoryOf'] {
  return (...parts) => {
    const path = join(directory, ...parts)
    mkdirSync(path, { recursive: true })
    return path
  }
}

async function readFormat(
  store: Store,
  directory: string,
  cluster: string,
  wanted: number | undefined,
): Promise<DataFormat> {
  const known = storedFormat(store, directory)
  if (!known) {
    const shardCount = wanted ?? DEFAULT_CONFIG.shards
    const format: DataFormat = { version: FORMAT_VERSION, shardCount, cluster }
    await writeFormat(store, format)
    return format
  }
  if (known.member !== undefined) {
    const why = `${directory} belongs to the node ${known.member} of the cluster "${known.cluster}": start it as that one (--nats), or name another directory`
    throw new TroupeError('invalid-config', why)
  }
  requireCluster(known, cluster, directory)
  requireShards(known, wanted, directory)
  return known
}

/** @param wanted by whoever starts it @throws TroupeError `invalid-config` */
export function requireShards(
  { shardCount }: Pick<DataFormat, 'shardCount'>,
  wanted: number | undefined,
  directory: string,
): void {
  if (wanted === undefined || wanted === shardCount) return
  const why = `shards: ${directory} has ${shardCount}, and this node was told of ${wanted}: the number is fixed when data are made; leave it out, or name another directory`
  throw new TroupeError('invalid-config', why)
}

/** @throws TroupeError `invalid-config` */
export function requireCluster(format: DataFormat, cluster: string, directory: string): void {
  if (format.cluster === cluster) return
  throw new TroupeError(
    'invalid-config',
    `${directory} belongs to the cluster "${format.cluster}", not "${cluster}": name that one, or another directory`,
  )
}

/** Undefined in a new directory. @throws TroupeError `store-failed` */
export function storedFormat(store: Store, directory: string): DataFormat | undefined {
  const bytes = store.get(FORMAT_KEY)
  return bytes && checkedFormat(bytes, directory)
}

export function writeFormat(store: Store, format: Omit<DataFormat, 'version'>): Promise<void> {
  return write(store, [formatRow(format)])
}

function formatRow(format: Omit<DataFormat, 'version'>): StoreWrite {
  return [FORMAT_KEY, pack({ version: FORMAT_VERSION, ...format })]
}

/**
 * The directory of a node that was alone becomes that of a member, with these rows and in one commit.
 * Where it came from is of no account then: its journal is true.
 * @throws TroupeError `conflict` when another process has opened it since
 */
export function makeMember(
  store: Store,
  format: Omit<DataFormat, 'version'>,
  rows: readonly StoreWrite[],
): Promise<void> {
  return new Promise((resolve, reject) => {
    store.write({
      writes: [...rows, formatRow(format), [RESTORED_KEY, null]],
      flushed: resolve,
      failed: ({ kind, message }) =>
        reject(new TroupeError(kind === 'fenced' ? 'conflict' : 'store-failed', message)),
    })
  })
}

function checkedFormat(bytes: Uint8Array, directory: string): DataFormat {
  const format = unpack(bytes) as DataFormat
  if (format.version !== FORMAT_VERSION) {
    throw new TroupeError(
      'store-failed',
      `${directory} was written in format ${format.version}; this version of Troupe reads format ${FORMAT_VERSION}`,
    )
  }
  return format
}

/** Of data that a node has made. @throws TroupeError `store-failed` */
export function formatOf(store: Store, directory: string): DataFormat {
  const format = storedFormat(store, directory)
  if (format) return format
  throw new TroupeError('store-failed', `${directory} is empty: no node has started with it yet`)
}

export function restoredFrom(store: Store): RestoredFrom | undefined {
  const bytes = store.get(RESTORED_KEY)
  return bytes && (unpack(bytes) as RestoredFrom)
}

/** Also takes the place of the owner that the backup knew. */
export function markRestored(store: Store, from: RestoredFrom, random: Random): Promise<void> {
  const owner = Buffer.from(random.id())
  return write(store, [
    [OWNER_KEY, owner],
    [RESTORED_KEY, pack(from)],
  ])
}

export function storePath(directory: string): string {
  return join(directory, DATA_PARTS.store)
}

export function restoringPath(directory: string): string {
  return join(directory, RESTORING)
}

/** @throws TroupeError `not-found` */
export function requireData(directory: string): void {
  if (existsSync(restoringPath(directory))) throw notRestored(directory)
  if (existsSync(storePath(directory))) return
  throw new TroupeError(
    'not-found',
    `${directory} is no data directory of a node: name one with --data, or the node's --config`,
  )
}

function notRestored(directory: string): TroupeError {
  return new TroupeError(
    'store-failed',
    `a backup was not restored to the end into ${directory}: remove that directory and restore it again`,
  )
}

/** In one transaction. @throws TroupeError `store-failed` */
export function write(store: Store, writes: readonly StoreWrite[]): Promise<void> {
  return new Promise((resolve, reject) => {
    store.write({
      writes,
      flushed: resolve,
      failed: ({ message }) => reject(new TroupeError('store-failed', message)),
    })
  })
}
