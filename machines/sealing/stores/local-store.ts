/**
 * The local store of a sealing thread: a directory that is one thread's own. Decides: that it makes itself,
 * that nothing is half written, and that large values are read back as they were put. Leaves to others:
 * who holds it (`holder.ts`), what is sealed in it, how the quarantine is kept (`quarantine.ts`).
 */
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, realpath, rename, rm } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { TroupeError } from '../../../src/index.ts'
import type { Held } from '../thread/index.ts'
import type { SectorId } from '../venus/index.ts'
import { flush, isMissing, namesIn, replaceFile } from './durable.ts'
import {
  DATA_FOLDERS,
  OUTPUTS_FOLDER,
  SECTOR_FOLDERS,
  type SectorPaths,
  STEPS_FOLDER,
  sectorPaths,
} from './layout.ts'
import { Quarantine, type QuarantineEntry, type QuarantineMark } from './quarantine.ts'

/** What is larger would weigh down every commit of the thread and every list of it. */
export const INLINE_BYTES_MAX = 16 * 1024

const OUTPUT_NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/
const OUTPUT_FILE = /^outputs\/[A-Za-z0-9][A-Za-z0-9-]{0,127}\.json$/

/** Its canonical path, made if it is not there: two names of one directory are one store. */
export async function canonicalLocation(location: string): Promise<string> {
  if (!isAbsolute(location)) {
    const why = `the store "${location.slice(0, 200)}" is no absolute path: write it from the root`
    throw new TroupeError('malformed', why)
  }
  await mkdir(location, { recursive: true })
  return await realpath(location)
}

export class LocalStore {
  /** The canonical path. */
  readonly location: string
  readonly quarantine: Quarantine
  readonly #data: string
  readonly #wiped: string

  private constructor(location: string) {
    this.location = location
    this.quarantine = new Quarantine(location)
    this.#data = join(location, 'data')
    this.#wiped = join(location, 'wiped')
  }

  /** Ready for use: laid out, and rid of what an earlier wipe left. Whoever opens it holds it. */
  static async open(location: string): Promise<LocalStore> {
    const store = new LocalStore(await canonicalLocation(location))
    await store.#layOut()
    await rm(store.#wiped, { recursive: true, force: true })
    return store
  }

  pathsOf(sector: SectorId, part = ''): SectorPaths {
    return sectorPaths(this.#data, sector, part)
  }

  /** Where the outcomes of steps lie. */
  get stepsDirectory(): string {
    return join(this.#data, STEPS_FOLDER)
  }

  /** A small value stays as it is, a large one goes into a file that is named by its content. */
  async put(name: string, value: unknown): Promise<Held> {
    if (!OUTPUT_NAME.test(name)) {
      throw new TroupeError('malformed', `"${name.slice(0, 80)}" cannot name a file of outputs`)
    }
    const json = JSON.stringify(value)
    const bytes = Buffer.byteLength(json)
    if (bytes <= INLINE_BYTES_MAX) return { inline: value }
    const sha256 = sha256Of(json)
    const file = `${OUTPUTS_FOLDER}/${name}-${sha256.slice(0, 16)}.json`
    await replaceFile(join(this.#data, file), json)
    return { file, sha256, bytes }
  }

  /** @throws TroupeError `store-failed` when it is not there as it was put */
  async take(held: Held): Promise<unknown> {
    if ('inline' in held) return held.inline
    const path = join(this.#data, held.file)
    const redo = 'resume the thread at the state before, which makes it anew'
    if (!OUTPUT_FILE.test(held.file)) {
      const why = `"${held.file.slice(0, 200)}" is no file of outputs of ${this.location}: ${redo}`
      throw new TroupeError('store-failed', why)
    }
    const json = await readOrNone(path)
    if (json === undefined) throw new TroupeError('store-failed', `${path} is not there: ${redo}`)
    const found = sha256Of(json)
    if (found !== held.sha256) {
      const why = `${path} was changed: its SHA-256 is ${found}, it was ${held.sha256}; ${redo}`
      throw new TroupeError('store-failed', why)
    }
    return JSON.parse(json) as unknown
  }

  /** Sectors that something lies here of, by folder: `cache/s-t01000-1`. */
  async occupants(): Promise<string[]> {
    const found: string[] = []
    for (const folder of SECTOR_FOLDERS) {
      const names = await namesIn(join(this.#data, folder))
      found.push(...names.map((name) => `${folder}/${name}`))
    }
    return found
  }

  /** Empties the store but for the outcomes of steps. Moved first: a cut leaves no half sector. */
  async wipe(): Promise<void> {
    await mkdir(this.#wiped, { recursive: true })
    const bin = await mkdtemp(join(this.#wiped, 'w-'))
    for (const name of await namesIn(this.#data)) {
      if (name !== STEPS_FOLDER) await rename(join(this.#data, name), join(bin, name))
    }
    await this.#layOut()
    // With what an earlier one left that was cut off.
    await rm(this.#wiped, { recursive: true, force: true })
  }

  /** Moves all that lies here, outcomes of steps as well, out of the way. */
  async putAside(mark: QuarantineMark): Promise<QuarantineEntry> {
    const entry = await this.quarantine.take(this.#data, mark)
    await this.#layOut()
    return entry
  }

  async #layOut(): Promise<void> {
    for (const folder of DATA_FOLDERS) await mkdir(join(this.#data, folder), { recursive: true })
    await flush(this.#data)
    await flush(this.location)
  }
}

async function readOrNone(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (thrown) {
    if (isMissing(thrown)) return undefined
    throw thrown
  }
}

function sha256Of(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
