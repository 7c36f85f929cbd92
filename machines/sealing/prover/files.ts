/**
 * Files that are either whole or not there. Decides: a file gets its name only when all of it is on
 * disk (other name, fsync, rename, fsync of the directory), so that a kill at any byte leaves the old
 * one, or none. What is cut lies under `<name>.part` and is thrown away by the next try.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { Refusal } from './refusal.ts'

export interface NewFile {
  path: string
  data: Uint8Array
}

/** Names appear in the order given: what says that all is there comes last. */
export function writeWhole(files: readonly NewFile[]): void {
  for (const { path, data } of files) {
    writePart(path, (descriptor) => {
      for (let at = 0; at < data.length; ) at += writeSync(descriptor, data, at)
    })
  }
  for (const { path } of files) renameSync(partOf(path), path)
  for (const directory of new Set(files.map(({ path }) => dirname(path)))) syncDirectory(directory)
}

/** Fills `<path>.part` and has it on disk; `publish` gives it its name. */
export function writePart(path: string, write: (descriptor: number) => void): void {
  makeDirectory(dirname(path))
  const part = partOf(path)
  // What is left may be a link to a file of others: it is removed, never written into.
  rmSync(part, { force: true })
  const descriptor = openSync(part, 'wx')
  try {
    write(descriptor)
    fsyncSync(descriptor)
  } catch (thrown) {
    // A disk that is full stays so while the beginning of a file takes its room.
    rmSync(part, { force: true })
    throw thrown
  } finally {
    closeSync(descriptor)
  }
}

/** Directories have names too, which have to be on disk. */
export function makeDirectory(path: string): void {
  const first = mkdirSync(path, { recursive: true })
  if (first === undefined) return
  for (let made = path; ; made = dirname(made)) {
    syncDirectory(dirname(made))
    if (made === first) return
  }
}

export function publish(path: string): void {
  renameSync(partOf(path), path)
  syncDirectory(dirname(path))
}

export function partOf(path: string): string {
  return `${path}.part`
}

export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

/** @param what how messages call the file. @throws Refusal when it is not of that size */
export function readExactly(what: string, path: string, sizeBytes: number): Buffer {
  const descriptor = openSync(path, 'r')
  try {
    const found = fstatSync(descriptor)
    if (!found.isFile() || found.size !== sizeBytes) {
      const is = found.isFile() ? `has ${found.size} bytes` : 'is no file'
      throw new Refusal('malformed', `${what} ${path} ${is}; ${sizeBytes} bytes are expected`)
    }
    const data = Buffer.alloc(sizeBytes)
    for (let at = 0; at < sizeBytes; ) {
      const read = readSync(descriptor, data, at, sizeBytes - at, at)
      if (read === 0) throw new Refusal('conflict', `${what} ${path} was cut while it was read`)
      at += read
    }
    return data
  } finally {
    closeSync(descriptor)
  }
}

/** A file that can be made anew from others; undefined when it is missing or of another size. */
export function readIfWhole(path: string, sizeBytes: number): Buffer | undefined {
  try {
    const data = readFileSync(path)
    return data.length === sizeBytes ? data : undefined
  } catch {
    return undefined
  }
}
