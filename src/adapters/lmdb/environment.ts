/**
 * One LMDB environment: the directory, its two databases, and who owns it.
 *
 * Decides: the layout (`rows` holds the store's rows, `troupe` the format and the owner's number),
 * how lmdb-js is opened, that the last opener owns the directory, and that one which was retired is
 * never served again. Leaves to others: which files of the directory it is (generations.ts).
 */
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import type { StoreFailure, StoreTransaction } from '../../ports/index.ts'
import { notOurs, removed, type SpaceUsed, unfinished } from './errors.ts'
import { currentGeneration, generationPath, makeCurrent, removeOthers } from './generations.ts'

const FORMAT = Buffer.from('troupe-store-1')
/** In the place of the format, of an environment that was retired: followed by the next generation. */
const MOVED = 'troupe-store-moved:'
const REMOVED = 'troupe-store-removed'
const FORMAT_KEY = Buffer.from('format')
const OWNER_KEY = Buffer.from('owner')
const MAP_SIZE_BYTES = 2 ** 40
export const READERS_MAX = 512
/** The first page of lmdb-js's version of LMDB begins with 24 bytes of page header. */
const MAGIC_OFFSET = 24
const MAGIC = 0xbeefc0de
/** Two pages of meta data. */
const FILE_BYTES_MIN = 8_192
const DATABASES = new Set(['rows', 'troupe'])
/**
 * Not in the types of lmdb-js. With each commit LMDB sorts the pages that it freed into as much of its list of
 * free pages as it holds in memory. By default those are up to 50,000, of which a store has so many after a burst:
 * then one commit of a row of 10 KB takes 20 ms, and one that removes a thousand rows 300 ms. What is not loaded
 * is loaded once these are used up. It costs space: while it holds more than so many and none in a row are enough
 * for a row of several pages, LMDB takes new ones from the map, although some that would do may not be loaded.
 */
const FREE_PAGES = { maxFreeSpaceToLoad: 2_000 } as const
const BINARY = { encoding: 'binary', keyEncoding: 'binary' } as const

export interface LmdbStoreOptions {
  directory: string
  /** The size the data can grow to. It costs address space only. */
  mapSizeBytes?: number
  /** Read transactions of all processes together. */
  readersMax?: number
  /** For tools that look at the store of a living node: does not take the directory over. */
  readOnly?: boolean
  /** A snapshot is given up after this. */
  snapshotOpenMaxMs?: number
}

export interface Environment {
  readonly rows: Database<Uint8Array, Uint8Array>
  /** Applies the transactions, flushed, if the directory is still ours; else does nothing. */
  writeAsOwner(transactions: StoreTransaction[]): Promise<boolean>
  /**
   * Nobody serves it from then on: what opens it goes on with the next generation, or is refused
   * when there is none. False when the directory is not ours any more.
   */
  retire(next: string | undefined): boolean
  /** Copies what is committed at one moment to `<directory>/data.mdb`; commits go on meanwhile. */
  copyTo(directory: string, compact: boolean): Promise<void>
  /** Rows, without reading them. */
  count(): number
  lost(): StoreFailure
  space(): SpaceUsed
  close(): Promise<void>
}

interface Opened {
  root: RootDatabase<Uint8Array, Uint8Array>
  rows: Database<Uint8Array, Uint8Array>
  meta: Database<Uint8Array, Uint8Array>
}

export function openEnvironment(options: LmdbStoreOptions): Environment {
  const { directory, readOnly = false } = options
  const generation = currentGeneration(directory)
  const place = generationPath(directory, generation)
  const opened = openGeneration(options, place)
  let owner = 0
  let isCurrent = false
  try {
    if (!readOnly) owner = takeOver(opened)
    const next = checkFormat(opened.meta, directory)
    if (next !== undefined && readOnly) throw unfinished(directory)
    if (next !== undefined) makeCurrent(directory, next)
    // It may have been replaced between the first look and the taking over.
    isCurrent = currentGeneration(directory) === generation
  } catch (error) {
    void opened.root.close()
    throw error
  }
  if (!isCurrent) {
    void opened.root.close()
    return openEnvironment(options)
  }
  if (!readOnly) removeOthers(directory, generation)
  return environmentOf(opened, owner, place)
}

function openGeneration(options: LmdbStoreOptions, place: string): Opened {
  const data = join(place, 'data.mdb')
  if (existsSync(data)) checkMagic(data, options.directory)
  else if (options.readOnly) throw notOurs(options.directory, 'it has no data.mdb')
  return openDatabases(options, place)
}

function environmentOf(
  { root, rows, meta }: Opened,
  owner: number,
  directory: string,
): Environment {
  return {
    rows,
    writeAsOwner: (transactions) =>
      meta.ifVersion(OWNER_KEY, owner, () => {
        for (const { writes } of transactions) {
          for (const [key, value] of writes) {
            // Inside a block these return a shared promise; the block's tells the outcome.
            if (value === null) void rows.remove(key)
            else void rows.put(key, value)
          }
        }
      }),
    retire: (next) =>
      meta.transactionSync(() => {
        if (meta.getEntry(OWNER_KEY)?.version !== owner) return false
        meta.putSync(FORMAT_KEY, Buffer.from(next === undefined ? REMOVED : MOVED + next), 1)
        return true
      }),
    copyTo: (target, compact) => {
      mkdirSync(target, { recursive: true })
      return root.backup(target, compact)
    },
    count: () => rows.getKeysCount({}),
    lost: () => ({ kind: 'fenced', message: `another process has opened ${directory} since` }),
    space: () => {
      const stats = root.getStats() as { mapSize: number; lastPageNumber: number; pageSize: number }
      const usedBytes = (stats.lastPageNumber + 1) * stats.pageSize
      return { mapSizeBytes: stats.mapSize, usedBytes, directory }
    },
    close: () => root.close(),
  }
}

/** lmdb-js 3.5.6 ends the process (SIGSEGV) when it opens a file that is not its own. */
export function checkMagic(path: string, directory: string): void {
  const file = openSync(path, 'r')
  try {
    // A creation that was cut short leaves an empty file; LMDB begins anew there.
    if (fstatSync(file).size === 0) return
    const head = Buffer.alloc(MAGIC_OFFSET + 4)
    readSync(file, head, 0, head.length, 0)
    if (head.readUInt32LE(MAGIC_OFFSET) !== MAGIC || fstatSync(file).size < FILE_BYTES_MIN) {
      throw notOurs(directory, 'its data.mdb is damaged or was written by another program')
    }
  } finally {
    closeSync(file)
  }
}

function openDatabases(options: LmdbStoreOptions, place: string): Opened {
  const readOnly = options.readOnly ?? false
  const root = open<Uint8Array, Uint8Array>({
    ...BINARY,
    path: place,
    noSubdir: false,
    mapSize: options.mapSizeBytes ?? MAP_SIZE_BYTES,
    maxReaders: options.readersMax ?? READERS_MAX,
    maxDbs: 4,
    compression: false,
    ...FREE_PAGES,
    readOnly,
    // store.ts says why.
    overlappingSync: false,
    // The store makes its own groups; lmdb-js would wait another turn to gather.
    eventTurnBatching: false,
  })
  try {
    // Before anything is created in what may be somebody else's data.
    for (const name of root.getKeys({})) {
      if (!DATABASES.has(Buffer.from(name).toString().replace(/\0$/, ''))) {
        throw notOurs(options.directory, 'its data.mdb was written by another program')
      }
    }
    const meta = root.openDB<Uint8Array, Uint8Array>({
      ...BINARY,
      name: 'troupe',
      useVersions: true,
    })
    const rows = root.openDB<Uint8Array, Uint8Array>({ ...BINARY, name: 'rows' })
    if (meta === undefined || rows === undefined) {
      throw notOurs(options.directory, 'its databases are missing')
    }
    return { root, rows, meta }
  } catch (error) {
    void root.close()
    throw error
  }
}

/** Makes this opener the owner; returns its number. Completes a creation that was cut short. */
function takeOver({ meta, rows }: Opened): number {
  return meta.transactionSync(() => {
    const owner = (meta.getEntry(OWNER_KEY)?.version ?? 0) + 1
    if (meta.getBinary(FORMAT_KEY) === undefined && rows.getKeysCount({}) === 0) {
      meta.putSync(FORMAT_KEY, FORMAT, 1)
    }
    meta.putSync(OWNER_KEY, OWNER_KEY, owner)
    return owner
  })
}

/** The generation that took its place, if one did. */
function checkFormat(
  meta: Database<Uint8Array, Uint8Array>,
  directory: string,
): string | undefined {
  const format = meta.getBinary(FORMAT_KEY)
  if (format !== undefined && Buffer.compare(format, FORMAT) === 0) return undefined
  const text = format === undefined ? '' : Buffer.from(format).toString()
  if (text === REMOVED) throw removed(directory)
  if (text.startsWith(MOVED)) return text.slice(MOVED.length)
  throw notOurs(directory, 'its format is unknown to this version')
}
