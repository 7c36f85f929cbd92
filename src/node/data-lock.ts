/**
 * One worker process per data directory. Decides: who holds a directory (a process that lives, known by
 * its pid, start time and boot), and how one that lives is asked to hand over. Leaves to others: what
 * handing over means.
 */
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { bootId, type ProcessIdentity, processLives, processStat } from '../worker/index.ts'

const FILE = 'worker.lock'
/** A process that gets it lets its commands go on and ends. */
export const HAND_OVER_SIGNAL = 'SIGUSR2'
const HAND_OVER_MS = 30_000
const LOOK_MS = 50

export interface DataLock {
  release(): void
}

/** @throws TroupeError `conflict` while another process holds it, and does not hand over if asked to */
export async function lockData(
  directory: string,
  clock: Clock,
  { takeOver }: { takeOver: boolean },
): Promise<DataLock> {
  const path = join(directory, FILE)
  const endMs = clock.monotonic() + HAND_OVER_MS
  let asked: number | undefined
  for (;;) {
    if (tryLock(path)) {
      // Another one that found the old holder dead may have removed our file with his; it has now.
      await pause(clock)
      if (readHolder(path)?.pid === process.pid) return { release: () => unlock(path) }
      continue
    }
    const holder = readHolder(path)
    if (holder === undefined || !processLives(holder)) {
      rmSync(path, { force: true })
      continue
    }
    if (!takeOver) {
      const why = `${directory} is used by the worker with pid ${holder.pid}: stop that one, or take over from it with --take-over`
      throw new TroupeError('conflict', why)
    }
    if (asked !== holder.pid) {
      asked = holder.pid
      process.kill(holder.pid, HAND_OVER_SIGNAL)
    }
    if (clock.monotonic() >= endMs) {
      const why = `the worker with pid ${holder.pid} does not hand over ${directory} within ${HAND_OVER_MS / 1_000} s`
      throw new TroupeError('conflict', why)
    }
    await pause(clock)
  }
}

function pause(clock: Clock): Promise<void> {
  return new Promise((resolve) => clock.after(LOOK_MS, resolve))
}

function unlock(path: string): void {
  if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true })
}

/** Written beside it and linked, so that nobody ever sees half of it. */
function tryLock(path: string): boolean {
  const draft = `${path}.${process.pid}`
  const { startTicks = 0 } = processStat(process.pid) ?? {}
  const holder: ProcessIdentity = { pid: process.pid, startTicks, bootId: bootId() }
  writeFileSync(draft, JSON.stringify(holder), { mode: 0o600 })
  try {
    linkSync(draft, path)
    return true
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new TroupeError('store-failed', `cannot lock ${path}`, { cause: thrown })
  } finally {
    rmSync(draft, { force: true })
  }
}

function readHolder(path: string): ProcessIdentity | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity
  } catch {
    return undefined
  }
}
