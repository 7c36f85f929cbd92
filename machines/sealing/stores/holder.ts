/**
 * One worker per local store. Decides: who holds a store, written in its file `holder`, that what a dead one
 * left is taken over by one only, and that a holder which was taken for dead hears of it. Leaves to others:
 * who is dead (`holder-record.ts`), and what is done with the store.
 *
 * Whoever finds the holder X dead claims what X has by the file `holder.<id of X>`, which only one can make, and
 * then moves it over `holder`. A claimer that dies in between is a holder like any other, so the end of the
 * chain of claims from `holder` on is who holds the store. A claim counts only if it is found there once it is
 * made: a slow one's may be of an X that is history.
 */
import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, TroupeError } from '../../../src/index.ts'
import { errnoOf, isMissing } from './durable.ts'
import {
  BEAT_MS,
  beatOf,
  type Holder,
  HolderWatch,
  newHolder,
  parseHolder,
  readHolder,
  SILENT_MS,
  UNREADABLE,
} from './holder-record.ts'

const HOLDER_FILE = 'holder'
/** Each round finds another state of the files; many rounds mean that others fight for it. */
const ROUNDS_MAX = 20

export interface StoreHold {
  release(): void
}

export interface HoldDeps {
  clock: Clock
  /** Of the tries before this one: silence takes its time. */
  watch?: HolderWatch
  /** Another one has it, or nobody can tell; called once. */
  onLost?: (why: string) => void
}

/** @throws TroupeError `conflict` when a process that lives holds it, or may live */
export function holdStore(location: string, deps: HoldDeps): StoreHold {
  const { clock, watch = new HolderWatch(clock) } = deps
  const path = join(location, HOLDER_FILE)
  const own = newHolder()
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const { last, claims, next } = endOfClaims(path)
    const objection = last && last !== UNREADABLE ? watch.objection(last) : undefined
    if (objection !== undefined) {
      const why = `the store ${location} is held by ${objection}: stop it, or give this worker another location`
      throw new TroupeError('conflict', why)
    }
    if (!tryClaim(path, next, own)) continue
    if (!isOwn(endOfClaims(path).last, own)) {
      rmSync(next, { force: true })
      continue
    }
    if (next !== path) renameSync(next, path)
    for (const claim of claims) rmSync(claim, { force: true })
    return new Holding(path, own, { ...deps, watch })
  }
  throw new TroupeError(
    'conflict',
    `the store ${location} is being taken by other processes: let only one worker have it`,
  )
}

interface Claims {
  /** Who holds it; undefined when nobody does. */
  last: Holder | typeof UNREADABLE | undefined
  /** The files behind the first, in their order. */
  claims: string[]
  /** The file that whoever takes over from the last one has to make. */
  next: string
}

function endOfClaims(path: string): Claims {
  const claims: string[] = []
  let last: Claims['last']
  let next = path
  for (;;) {
    const holder = readHolder(next)
    if (holder === undefined) return { last, claims, next }
    if (next !== path) claims.push(next)
    last = holder
    next = holder === UNREADABLE ? `${next}.${UNREADABLE}` : `${path}.${holder.id}`
  }
}

/** Written beside it and linked, so that nobody ever sees half of it. */
function tryClaim(path: string, claim: string, own: Holder): boolean {
  const draft = `${path}.${own.id}.draft`
  try {
    writeFileSync(draft, JSON.stringify(own), { mode: 0o600 })
    linkSync(draft, claim)
    return true
  } catch (thrown) {
    if (errnoOf(thrown) === 'EEXIST') return false
    throw thrown
  } finally {
    rmSync(draft, { force: true })
  }
}

/** Gives signs of life, and looks whether it is still there. */
class Holding implements StoreHold {
  readonly #path: string
  readonly #own: Holder
  readonly #deps: HoldDeps & { watch: HolderWatch }
  #count = 0
  #isOver = false
  #cancel = () => {}
  /** When it was there for certain. */
  #seenMs: number

  constructor(path: string, own: Holder, deps: HoldDeps & { watch: HolderWatch }) {
    this.#path = path
    this.#own = own
    this.#deps = deps
    this.#seenMs = deps.clock.monotonic()
    this.#later()
  }

  release(): void {
    this.#end()
    try {
      if (isOwn(readHolder(this.#path), this.#own)) rmSync(this.#path, { force: true })
    } catch {
      // A file system that is gone. Who finds the file will find its holder dead, or over.
    }
  }

  #end(): void {
    this.#isOver = true
    this.#cancel()
    this.#deps.watch.giveUp(this.#own.id)
  }

  #later(): void {
    this.#cancel = this.#deps.clock.after(BEAT_MS, () => void this.#beat())
  }

  async #beat(): Promise<void> {
    const why = await this.#problem()
    if (this.#isOver) return
    if (why === undefined) return this.#later()
    this.#end()
    this.#deps.onLost?.(why)
  }

  async #problem(): Promise<string | undefined> {
    const nowMs = this.#deps.clock.monotonic()
    this.#count += 1
    try {
      const beat = beatOf(this.#count)
      if (!(await writeBeat(this.#path, { ...this.#own, beat }))) return 'another process took it'
      this.#seenMs = nowMs
      return undefined
    } catch (thrown) {
      // Given up before anybody else takes it.
      if (nowMs - this.#seenMs < SILENT_MS - BEAT_MS) return undefined
      return `its file ${HOLDER_FILE} cannot be written: ${String(thrown)}`
    }
  }
}

/**
 * Opened anew each time: other hosts see what was written when it is closed.
 * @returns false when the file is another one's by now
 */
async function writeBeat(path: string, own: Holder): Promise<boolean> {
  let file: FileHandle
  try {
    file = await open(path, 'r+')
  } catch (thrown) {
    if (isMissing(thrown)) return false
    throw thrown
  }
  try {
    if (!isOwn(parseHolder(await file.readFile('utf8')), own)) return false
    await file.write(JSON.stringify(own), 0)
    return true
  } finally {
    await file.close()
  }
}

function isOwn(holder: Claims['last'], own: Holder): boolean {
  return holder !== undefined && holder !== UNREADABLE && holder.id === own.id
}
