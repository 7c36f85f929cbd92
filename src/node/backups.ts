/**
 * Backups of a data directory and their way back.
 *
 * Decides: what a backup holds (the store as it is at one moment, the files of apps, on request the
 * logs of commands, and a manifest that is written last: without it there is no backup), and that a
 * restore gives a new incarnation (shard/new-incarnation.ts): what was acknowledged behind the moment
 * of the backup is gone, and what was begun behind it has no hold on the restored data. Leaves to
 * others: how LMDB copies itself.
 */
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { z } from 'zod'
import { copyStore, flush, LmdbStore, replaceFile } from '../adapters/lmdb/index.ts'
import { SystemClock, SystemRandom } from '../adapters/system/index.ts'
import type { Random, Store } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { newIncarnation, reincarnated } from '../shard/index.ts'
import {
  DATA_PARTS,
  formatOf,
  markRestored,
  OTHER_PARTS,
  requireData,
  restoringPath,
  storePath,
  write,
} from './data.ts'
import { type CopiedFile, copyFile, filesBelow, fingerprintOf, flushTree } from './file-trees.ts'
import { breath, type CareOptions, verifyStore, withReader } from './store-care.ts'

export interface BackupOptions extends CareOptions {
  /** What commands wrote. They are much, and no actor depends on them. */
  logs?: boolean
}

export interface BackupReport {
  id: string
  directory: string
  /** Unix ms; what was acknowledged before is in it. */
  takenAt: number
  cluster: string
  files: number
  bytes: number
}

export interface RestoreReport extends BackupReport {
  data: string
  actors: number
  rows: number
}

const MANIFEST = 'manifest.json'
const FORM = 2
const STORE_FILE = `${DATA_PARTS.store}/data.mdb`
/** A path that leads nowhere but down. */
const PATH = /^(?!.*(?:^|\/)\.\.?(?:\/|$))[^/\0]+(?:\/[^/\0]+)*$/

const manifestSchema = z.object({
  form: z.literal(FORM),
  id: z.string().min(1),
  takenAt: z.iso.datetime(),
  cluster: z.string(),
  shardCount: z.int().positive(),
  files: z.array(
    z.object({
      path: z.string().regex(PATH),
      bytes: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
})
type Manifest = z.infer<typeof manifestSchema>

/**
 * Copies a data directory; a node may run on it and goes on.
 * @throws TroupeError `not-found`, `conflict` when the target holds something, `store-failed`
 */
export async function backupData(
  directory: string,
  target: string,
  { progress = () => {}, logs = false, signal }: BackupOptions = {},
): Promise<BackupReport> {
  requireData(directory)
  requireEmpty(target, 'a backup')
  const below = relative(resolve(directory), resolve(target))
  if (!below.startsWith('..')) {
    throw new TroupeError('conflict', `${target} stands in the data directory itself`)
  }
  const isNew = !existsSync(target)
  await mkdir(target, { recursive: true, mode: 0o700 })
  try {
    const manifest = await copyAll(directory, target, { progress, logs, ...(signal && { signal }) })
    replaceFile(join(target, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
    return reportOf(manifest, target)
  } catch (thrown) {
    // Half a backup would only be in the way of the next.
    for (const name of isNew ? [''] : Object.values(DATA_PARTS))
      await rm(join(target, name), { recursive: true, force: true })
    throw thrown
  }
}

async function copyAll(
  directory: string,
  target: string,
  { progress = () => {}, logs = false, signal }: BackupOptions,
): Promise<Manifest> {
  // Before the copy: what was acknowledged up to here is certainly in it.
  const takenAt = new SystemClock().now()
  const { cluster, shardCount } = await withReader(directory, async (_store, format) => format)
  await copyStore(storePath(directory), join(target, DATA_PARTS.store), (done, of) =>
    progress('copy the store', done, of),
  )
  const storeFile = await fingerprintOf(join(target, STORE_FILE), () => {})
  const files: CopiedFile[] = [{ path: STORE_FILE, ...storeFile }]
  for (const path of await extraFiles(directory, logs)) {
    await breath(signal)
    const copied = await copyFile(join(directory, path), join(target, path), () => {})
    if (copied) files.push({ path, ...copied })
    progress('copy files', files.length, files.length)
  }
  await breath(signal)
  await flushTree(target)
  const id = new SystemRandom().id()
  return { form: FORM, id, takenAt: new Date(takenAt).toISOString(), cluster, shardCount, files }
}

/** Of the worker only what it keeps for reading: what it still runs is not in a backup. */
async function extraFiles(directory: string, logs: boolean): Promise<string[]> {
  const parts: string[] = [DATA_PARTS.apps]
  if (logs) {
    const { worker, uploads } = DATA_PARTS
    parts.push(`${worker}/attempts`, `${worker}/by-address`, uploads)
  }
  const found: string[] = []
  for (const part of parts) {
    // What a command made in its own directory is the command's.
    const isWanted = (path: string) => !/^[^/]+\/work$/.test(path) || part === DATA_PARTS.apps
    for (const path of await filesBelow(join(directory, part), isWanted)) {
      found.push(`${part}/${path}`)
    }
  }
  return found
}

/**
 * Makes a data directory of a backup. Everything is checked before the directory can be used.
 * @throws TroupeError `not-found`, `conflict` when the directory holds something, `store-failed`
 */
export async function restoreData(
  backup: string,
  directory: string,
  { progress = () => {}, signal }: CareOptions = {},
): Promise<RestoreReport> {
  const manifest = await readManifest(backup)
  requireEmpty(directory, 'a data directory')
  const isNew = !existsSync(directory)
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const draft = restoringPath(directory)
  try {
    await mkdir(draft, { mode: 0o700 })
    await copyChecked(backup, draft, manifest, { progress, ...(signal && { signal }) })
    const { actors, rows } = await renew(draft, manifest, { progress, ...(signal && { signal }) })
    await flushTree(draft)
    // The store last: without it there is nothing that a node would serve.
    for (const part of [...OTHER_PARTS, DATA_PARTS.store]) {
      if (existsSync(join(draft, part))) await rename(join(draft, part), join(directory, part))
    }
    flush(directory)
    await rm(draft, { recursive: true })
    flush(directory)
    return { ...reportOf(manifest, backup), data: directory, actors, rows }
  } catch (thrown) {
    if (!existsSync(storePath(directory))) {
      await rm(isNew ? directory : draft, { recursive: true, force: true })
    }
    throw thrown
  }
}

async function readManifest(backup: string): Promise<Manifest> {
  const path = join(backup, MANIFEST)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (cause) {
    const why = `${backup} is no complete backup: it has no ${MANIFEST}, which is written last`
    throw new TroupeError('not-found', why, { cause })
  }
  const manifest = manifestSchema.safeParse(jsonOf(text))
  const files = manifest.data?.files.map((file) => file.path) ?? []
  if (manifest.success && files.includes(STORE_FILE) && new Set(files).size === files.length) {
    return manifest.data
  }
  throw damaged(`${path} is damaged, or of a version of Troupe that this one cannot read`)
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

async function copyChecked(
  backup: string,
  draft: string,
  { files }: Manifest,
  { progress, signal }: CareOptions,
): Promise<void> {
  const of = files.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  for (const { path, bytes, sha256 } of files) {
    await breath(signal)
    const copied = await copyFile(join(backup, path), join(draft, path), (piece) => {
      done += piece
      progress?.('copy', Math.min(done, of), of)
    })
    if (!copied) throw damaged(`${backup}: the file ${path} is missing`)
    if (copied.bytes !== bytes || copied.sha256 !== sha256) {
      throw damaged(`${backup}: the file ${path} is not what was backed up (${copied.bytes} bytes)`)
    }
  }
}

/** Verifies the store of a copy and makes a new incarnation of it. */
async function renew(
  draft: string,
  manifest: Manifest,
  options: CareOptions,
): Promise<{ actors: number; rows: number }> {
  const store = LmdbStore.open({ directory: storePath(draft) })
  try {
    const verified = await verifyStore(store, formatOf(store, draft), options)
    const [first] = verified.problems
    if (first) {
      const count = verified.problems.length + verified.problemsMore
      throw damaged(
        `the store in the backup is damaged; problem 1 of ${count}: ${first.subject} ${first.what}`,
      )
    }
    if (verified.journaled) {
      throw new TroupeError(
        'conflict',
        'the backup is of a node of a cluster: its journal is true, and this store would be behind it. Start the node with an empty data directory instead; it loads a checkpoint and follows the journal',
      )
    }
    const random = new SystemRandom()
    await rewrite(store, random, verified.rows, options)
    const { id, takenAt } = manifest
    const restoredAt = new SystemClock().now()
    await markRestored(store, { id, takenAt: Date.parse(takenAt), restoredAt }, random)
    return verified
  } finally {
    await store.close()
    // Made by opening it; the first node makes its own.
    rmSync(join(storePath(draft), 'lock.mdb'), { force: true })
  }
}

const WRITE_BYTES = 1024 * 1024

async function rewrite(
  store: Store,
  random: Random,
  of: number,
  { progress, signal }: CareOptions,
): Promise<void> {
  const incarnation = newIncarnation(random)
  let writes: [Uint8Array, Uint8Array][] = []
  let bytes = 0
  let seen = 0
  const commit = async () => {
    await write(store, writes)
    progress?.('renew', Math.min(seen, of), of)
    await breath(signal)
    writes = []
    bytes = 0
  }
  for (const row of store.range({ from: Buffer.of(0), to: Buffer.of(0xff, 0xff) })) {
    seen += 1
    const value = reincarnated(row, incarnation)
    if (!value) continue
    writes.push([row.key, value])
    bytes += value.length
    if (bytes >= WRITE_BYTES) await commit()
  }
  await commit()
}

function requireEmpty(directory: string, what: string): void {
  let names: string[] = []
  try {
    names = readdirSync(directory)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'ENOENT') return
    const why = code === 'ENOTDIR' ? 'it is a file' : (cause as Error).message
    throw new TroupeError('conflict', `${directory} cannot be ${what}: ${why}`, { cause })
  }
  if (names.length === 0) return
  throw new TroupeError(
    'conflict',
    `${directory} is not empty: ${what} goes into a new or empty directory`,
  )
}

function reportOf({ id, takenAt, cluster, files }: Manifest, directory: string): BackupReport {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0)
  return { id, directory, takenAt: Date.parse(takenAt), cluster, files: files.length, bytes }
}

function damaged(why: string): TroupeError {
  return new TroupeError('store-failed', why)
}
