/**
 * Which files of a store's directory are the store. Decides: that a store that was compacted stands in
 * a directory of its own below, with a lock file of its own, and that a file names it. A store that was
 * never compacted stands in the directory itself.
 *
 * LMDB keeps the number of its last transaction in the lock file: a data file that took the place of
 * another beside the same lock file would be read by the other's number. Names are used once, so every
 * step here can be done again, by whoever comes upon it.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { replaceFile } from './durable-files.ts'

const POINTER = 'current'
const PREFIX = 'generation-'
/** The directory itself. */
const FIRST = '.'
const OWN_FILES = ['data.mdb', 'lock.mdb'] as const

export function currentGeneration(directory: string): string {
  try {
    // Never a path: a name that was tampered with leads nowhere else.
    return basename(readFileSync(join(directory, POINTER), 'utf8').trim())
  } catch {
    return FIRST
  }
}

export function generationPath(directory: string, generation: string): string {
  return join(directory, generation)
}

/** @param id never used before */
export function generationName(id: string): string {
  return PREFIX + id
}

export function makeCurrent(directory: string, generation: string): void {
  replaceFile(join(directory, POINTER), `${generation}\n`)
}

/** What is left of earlier generations, and of one that never became the current. */
export function removeOthers(directory: string, current: string): void {
  for (const name of readdirSync(directory)) {
    if (!name.startsWith(PREFIX) || name === current) continue
    rmSync(join(directory, name), { recursive: true, force: true })
  }
  if (current === FIRST) return
  for (const name of OWN_FILES) rmSync(join(directory, name), { force: true })
}
