/**
 * The quarantine of a local store: data of aborted sectors, which is moved and not deleted. Decides: when
 * it may go: the manager acknowledged the abort (or a person did), and the retention is over. What it
 * cannot read it keeps.
 */
import { lstat, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'
import { isMissing, moveDurably, namesIn, replaceFile } from './durable.ts'

/** Time to notice that an abort was a mistake. */
export const QUARANTINE_RETENTION_MS = 7 * 24 * 3_600_000

const MARKER_FILE = 'quarantine.json'
const ENTRY_NAME = /^([A-Za-z0-9][A-Za-z0-9-]{0,63})-(\d{1,16})$/
/** Entries of one millisecond; the name says the time. */
const TRIES_MAX = 100

const marker = z.object({
  sector: z.string(),
  /** Unix ms. */
  at: z.int(),
  reason: z.string(),
  /** Nobody but us still counts on this sector. */
  acknowledged: z.boolean(),
  /** The step that moved it: a repeat of it finds that it is done. */
  taskId: z.string().optional(),
})
export type QuarantineMark = z.infer<typeof marker>
export interface QuarantineEntry extends QuarantineMark {
  /** `<sector>-<unix ms>`. */
  name: string
}

export class Quarantine {
  readonly #directory: string

  /** `location` is the canonical path of the store. */
  constructor(location: string) {
    this.#directory = join(location, 'quarantine')
  }

  /** Moves the whole data directory there, by one rename. */
  async take(dataDirectory: string, mark: QuarantineMark): Promise<QuarantineEntry> {
    await mkdir(this.#directory, { recursive: true })
    const name = await this.#freeName(mark)
    // Marked before it is moved: there is never an entry that nobody knows anything of.
    await replaceFile(join(dataDirectory, MARKER_FILE), JSON.stringify(mark))
    await moveDurably(dataDirectory, join(this.#directory, name))
    return { ...mark, name }
  }

  async list(): Promise<QuarantineEntry[]> {
    const entries: QuarantineEntry[] = []
    for (const name of await namesIn(this.#directory)) {
      const mark = ENTRY_NAME.test(name) ? await this.#markOf(name) : undefined
      if (mark) entries.push({ ...mark, name })
    }
    return entries
  }

  /** @throws TroupeError `not-found` when there is no such entry */
  async acknowledge(name: string): Promise<void> {
    const entry = (await this.list()).find((one) => one.name === name)
    if (!entry) {
      const why = `the quarantine ${this.#directory} has no entry "${name.slice(0, 80)}": see its list`
      throw new TroupeError('not-found', why)
    }
    const { name: _, ...mark } = entry
    const path = join(this.#directory, name, MARKER_FILE)
    await replaceFile(path, JSON.stringify({ ...mark, acknowledged: true }))
  }

  /** Deletes what was acknowledged and lies there for longer than `retentionMs`; the names of it. */
  async sweep(now: number, retentionMs: number): Promise<string[]> {
    const due = (await this.list()).filter(
      ({ acknowledged, at }) => acknowledged && at + retentionMs <= now,
    )
    for (const { name } of due) await this.#remove(name)
    return due.map(({ name }) => name)
  }

  /** The marker goes last, so that what a crash left half deleted is still known for what it is. */
  async #remove(name: string): Promise<void> {
    const directory = join(this.#directory, name)
    for (const inner of await namesIn(directory)) {
      if (inner !== MARKER_FILE) await rm(join(directory, inner), { recursive: true, force: true })
    }
    await rm(directory, { recursive: true, force: true })
  }

  async #freeName({ sector, at }: QuarantineMark): Promise<string> {
    const taken = new Set(await namesIn(this.#directory))
    for (let ms = at; ms < at + TRIES_MAX; ms += 1) {
      const name = `${sector}-${ms}`
      if (!ENTRY_NAME.test(name)) break
      if (!taken.has(name)) return name
    }
    const why = `the quarantine ${this.#directory} can take no "${sector.slice(0, 80)}" of ${at}`
    throw new TroupeError('store-failed', why)
  }

  /** Of a real directory with a marker that can be read; a link may lead anywhere. */
  async #markOf(name: string): Promise<QuarantineMark | undefined> {
    const directory = join(this.#directory, name)
    try {
      if (!(await lstat(directory)).isDirectory()) return undefined
      return marker.parse(JSON.parse(await readFile(join(directory, MARKER_FILE), 'utf8')))
    } catch (thrown) {
      if (isMissing(thrown) || thrown instanceof SyntaxError || thrown instanceof z.ZodError) {
        return undefined
      }
      throw thrown
    }
  }
}
