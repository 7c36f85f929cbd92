/** Files that outlive a loss of power: flushed, and their names with them. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Of a file or a directory. */
export function flush(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}

/** Readers see the old content or the new, never half of it. */
export function replaceFile(path: string, content: string): void {
  const draft = `${path}.${process.pid}.draft`
  writeFileSync(draft, content)
  flush(draft)
  renameSync(draft, path)
  flush(dirname(path))
}
