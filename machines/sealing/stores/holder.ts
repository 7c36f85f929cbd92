/**
 * One worker per local store. Decides: who holds a store, written in its file `holder`: a process that
 * lives, known by pid, start time and boot, so that a pid that was given out again is nobody's excuse.
 * What a dead one left is taken over. Leaves to others: what is done with the store.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'
import { errnoOf } from './durable.ts'

const HOLDER_FILE = 'holder'
/** Each round finds another state of the file; many rounds mean that others fight for it. */
const ROUNDS_MAX = 20

const holderRecord = z.object({
  pid: z.int().min(1),
  /** Clock ticks from boot to the start of the process. */
  startTicks: z.int(),
  bootId: z.string(),
})
type Holder = z.infer<typeof holderRecord>

export interface StoreHold {
  release(): void
}

/** @throws TroupeError `conflict` when a process that lives holds it */
export function holdStore(location: string): StoreHold {
  const path = join(location, HOLDER_FILE)
  const self = ownIdentity()
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    if (tryHold(path, self)) return { release: () => letGo(path, self) }
    const holder = readHolder(path)
    if (holder && isAlive(holder)) {
      throw new TroupeError(
        'conflict',
        `the store ${location} is held by the process ${holder.pid}: stop it, or give this worker another location`,
      )
    }
    removeStale(path, self)
  }
  throw new TroupeError(
    'conflict',
    `the store ${location} is being taken by other processes: let only one worker have it`,
  )
}

/** Written beside it and linked, so that nobody ever sees half of it. */
function tryHold(path: string, self: Holder): boolean {
  const draft = `${path}.${self.pid}.draft`
  writeFileSync(draft, JSON.stringify(self), { mode: 0o600 })
  try {
    linkSync(draft, path)
    return true
  } catch (thrown) {
    if (errnoOf(thrown) === 'EEXIST') return false
    throw thrown
  } finally {
    rmSync(draft, { force: true })
  }
}

/**
 * Moved away first and looked at again: between our look and now another process may have removed the
 * dead one's and put its own there, which goes back.
 */
function removeStale(path: string, self: Holder): void {
  const aside = `${path}.${self.pid}.stale`
  try {
    renameSync(path, aside)
  } catch (thrown) {
    if (errnoOf(thrown) === 'ENOENT') return
    throw thrown
  }
  try {
    const holder = readHolder(aside)
    if (holder && isAlive(holder)) linkSync(aside, path)
  } finally {
    rmSync(aside, { force: true })
  }
}

function letGo(path: string, self: Holder): void {
  const holder = readHolder(path)
  const isOurs = holder?.pid === self.pid && holder.startTicks === self.startTicks
  if (isOurs) rmSync(path, { force: true })
}

/** What cannot be read was left by nobody: it is written in one go. */
function readHolder(path: string): Holder | undefined {
  try {
    return holderRecord.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return undefined
  }
}

function ownIdentity(): Holder {
  return { pid: process.pid, startTicks: startTicksOf(process.pid) ?? 0, bootId: bootId() }
}

function isAlive(holder: Holder): boolean {
  return holder.bootId === bootId() && startTicksOf(holder.pid) === holder.startTicks
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Field 22 of /proc/<pid>/stat; none for a process that is gone or only waits to be buried. */
function startTicksOf(pid: number): number | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in field 2 may hold blanks and parentheses itself, so fields count from the last one.
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : Number(fields[19])
  } catch {
    return undefined
  }
}
