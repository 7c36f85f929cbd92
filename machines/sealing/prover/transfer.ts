/**
 * The stage transfer: files and directories from one place to another, each whole or not at all.
 * Decides: how (a hard link where that is allowed and the disk is the same, otherwise a copy that is on
 * disk before it gets its name), what is refused. A repeat replaces what is there. Sizes are not limited.
 */
import {
  closeSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Report } from './cache.ts'
import { makeDirectory, partOf, publish, writePart } from './files.ts'
import { Refusal } from './refusal.ts'
import type { TaskOf } from './tasks.ts'

const CHUNK_BYTES = 1024 ** 2

type Route = TaskOf<'transfer'>['routes'][number]

export function transfer({ stores, routes }: TaskOf<'transfer'>, report: Report): boolean {
  const known = new Set([...Object.keys(stores), ...Object.values(stores).map(({ name }) => name)])
  // All of them are looked at before the first byte is moved.
  const moves = routes.map((route) => moveOf(route, known))
  for (const [index, move] of moves.entries()) {
    if (move.isDirectory) copyTree(move.from, move.to, move.allowLink)
    else copyFile(move.from, move.to, move.allowLink)
    report(index + 1, moves.length, 'route')
  }
  return true
}

interface Move {
  from: string
  to: string
  isDirectory: boolean
  allowLink: boolean
}

function moveOf({ src, dest, opt }: Route, stores: ReadonlySet<string>): Move {
  for (const { store_name: name } of [src, dest]) {
    if (typeof name !== 'string' || name === '' || stores.has(name)) continue
    throw new Refusal(
      'malformed',
      `the store "${name.slice(0, 64)}" is not among those of the task`,
    )
  }
  const [from, to] = [pathOf(src.uri), pathOf(dest.uri)]
  const isDirectory = opt?.is_dir ?? false
  const found = statSync(from)
  if (isDirectory ? !found.isDirectory() : !found.isFile()) {
    throw new Refusal('malformed', `${from} is no ${isDirectory ? 'directory' : 'file'}`)
  }
  if (isDirectory && from !== to && `${to}${sep}`.startsWith(`${from}${sep}`)) {
    throw new Refusal('malformed', `${to} lies inside ${from}: it would be copied into itself`)
  }
  return { from, to, isDirectory, allowLink: opt?.allow_link ?? false }
}

/** A uri of a store is a path here, or `file:///…`. */
function pathOf(uri: string): string {
  try {
    const path = uri.startsWith('file://') ? fileURLToPath(uri) : uri
    if (isAbsolute(path) && !path.includes('\0')) return resolve(path)
  } catch {
    // Told below.
  }
  throw new Refusal('malformed', `"${uri.slice(0, 200)}" is no absolute path and no file url`)
}

function copyTree(from: string, to: string, allowLink: boolean): void {
  if (from === to) return
  makeDirectory(to)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (entry.isDirectory()) copyTree(source, target, allowLink)
    else if (statSync(source).isFile()) copyFile(source, target, allowLink)
    else throw new Refusal('malformed', `${source} is neither a file nor a directory`)
  }
}

function copyFile(from: string, to: string, allowLink: boolean): void {
  if (isSame(from, to)) return
  if (!(allowLink && link(from, to))) writePart(to, (descriptor) => copyInto(descriptor, from))
  publish(to)
}

/** The same path, or two names of one file: there is nothing to do, and `rename` would do nothing. */
function isSame(from: string, to: string): boolean {
  const [source, target] = [statSync(from), lstatSync(to, { throwIfNoEntry: false })]
  return target !== undefined && source.ino === target.ino && source.dev === target.dev
}

/** False where the disk is another, or knows no links. */
function link(from: string, to: string): boolean {
  makeDirectory(dirname(to))
  rmSync(partOf(to), { force: true })
  try {
    linkSync(from, partOf(to))
    return true
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException
    if (code !== undefined && ['EXDEV', 'EPERM', 'ENOTSUP', 'EMLINK'].includes(code)) return false
    throw thrown
  }
}

function copyInto(descriptor: number, from: string): void {
  const source = openSync(from, 'r')
  const chunk = Buffer.alloc(CHUNK_BYTES)
  try {
    for (;;) {
      const read = readSync(source, chunk, 0, chunk.length, null)
      if (read === 0) return
      for (let at = 0; at < read; ) at += writeSync(descriptor, chunk, at, read - at)
    }
  } finally {
    closeSync(source)
  }
}
