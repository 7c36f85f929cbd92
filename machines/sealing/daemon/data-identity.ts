/**
 * What tells the data of a worker from those that it had before. Decides: that it is drawn once for a store of
 * threads, anew for one that was lost, and is there before anything is named by it.
 */
import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'
import { isMissing, replaceFile } from '../stores/index.ts'

const FILE = 'identity'

/**
 * @param store where the threads live; while it is not there, none of them has been born
 * @throws TroupeError `store-failed` when it cannot be read or kept
 */
export async function dataIdentity(data: string, store: string): Promise<string> {
  const path = join(data, FILE)
  try {
    if (existsSync(store)) return z.uuid().parse(readFileSync(path, 'utf8').trim())
  } catch (cause) {
    if (!isMissing(cause)) {
      const why = `cannot read ${path}: remove it if it is damaged, and another one is drawn`
      throw new TroupeError('store-failed', why, { cause })
    }
  }
  const drawn = randomUUID()
  try {
    mkdirSync(data, { recursive: true, mode: 0o700 })
    await replaceFile(path, `${drawn}\n`)
  } catch (cause) {
    const why = `cannot write ${path}: let the worker write to its directory`
    throw new TroupeError('store-failed', why, { cause })
  }
  return drawn
}
