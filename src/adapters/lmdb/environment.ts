/**
 * One LMDB environment: the directory, its two databases, and who owns it.
 *
 * Decides: the layout (`rows` holds the store's rows, `troupe` the format and the owner's number),
 * how lmdb-js is opened, and that the last opener owns the directory.
 */
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import type { StoreFailure, StoreTransaction } from '../../ports/index.ts'
import { notOurs, type SpaceUsed } from './errors.ts'

const FORMAT = Buffer.from('troupe-store-1')
const FORMAT_KEY = Buffer.from('format')
const OWNER_KEY = Buffer.from('owner')
const MAP_SIZE_BYTES = 2 ** 40
const READERS_MAX = 512
/** The first page of lmdb-js's version of LMDB begins with 24 bytes of page header. */
const MAGIC_OFFSET = 24
const MAGIC = 0xbeefc0de
/** Two pages of meta data. */
const FILE_BYTES_MIN = 8_192
const DATABASES = new Set(['rows', 'troupe'])
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
  const { directory } = options
  const data = join(directory, 'data.mdb')
  if (existsSync(data)) checkMagic(data, directory)
  else if (options.readOnly) throw notOurs(directory, 'it has no data.mdb')
  const opened = openDatabases(options)
  let owner = 0
  try {
    if (!options.readOnly) owner = takeOver(opened)
    checkFormat(opened.meta, directory)
  } catch (error) {
    void opened.root.close()
    throw error
  }
  const { root, rows, meta } = opened
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
function checkMagic(path: string, directory: string): void {
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

function openDatabases(options: LmdbStoreOptions): Opened {
  const readOnly = options.readOnly ?? false
  const root = open<Uint8Array, Uint8Array>({
    ...BINARY,
    path: options.directory,
    noSubdir: false,
    mapSize: options.mapSizeBytes ?? MAP_SIZE_BYTES,
    maxReaders: options.readersMax ?? READERS_MAX,
    maxDbs: 4,
    compression: false,
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

function checkFormat(meta: Database<Uint8Array, Uint8Array>, directory: string): void {
  const format = meta.getBinary(FORMAT_KEY)
  if (format === undefined || Buffer.compare(format, FORMAT) !== 0) {
    throw notOurs(directory, 'its format is unknown to this version')
  }
}
