/**
 * Clearing away ended attempts. Decides: what may go (ended, and answered for), in which order (oldest
 * end first), and that it is done regularly. Leaves to others: how a run is removed (`logs/`).
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

import type { Clock, Log } from '../ports/index.ts'
import { toErrorRecord } from '../protocol/index.ts'
import type { AttemptFiles } from './attempt-files.ts'
import type { WorkerLimits } from './limits.ts'
import type { LogStore } from './logs/index.ts'

/** What the log store renames a run to before it removes it. */
const HALF_REMOVED = '.removed'

interface Ended {
  name: string
  bytes: number
  endedAt: number
}

export interface SweepDeps {
  files: AttemptFiles
  logs: LogStore
  clock: Clock
  log: Log
  limits: Pick<WorkerLimits, 'attemptKeepMs' | 'attemptKeepBytesMax'>
}

export interface SweeperDeps extends SweepDeps {
  limits: SweepDeps['limits'] & Pick<WorkerLimits, 'sweepEveryMs'>
  /** Called first, each time. */
  begins?: () => void
}

/** Does it again and again until it is stopped. */
export class Sweeper {
  readonly #deps: SweeperDeps
  #cancel = () => {}
  #stopped = false

  constructor(deps: SweeperDeps) {
    this.#deps = deps
  }

  start(firstMs: number): void {
    if (this.#stopped) return
    this.#cancel = this.#deps.clock.after(firstMs, () => {
      void this.#sweep().then(() => this.start(this.#deps.limits.sweepEveryMs))
    })
  }

  stop(): void {
    this.#stopped = true
    this.#cancel()
  }

  async #sweep(): Promise<void> {
    const { log, begins } = this.#deps
    begins?.()
    try {
      const removed = await sweepAttempts(this.#deps)
      if (removed > 0) log.info({ removed }, 'ended attempts were cleared away')
    } catch (cause) {
      log.warn({ error: toErrorRecord(cause) }, 'ended attempts could not be cleared away')
    }
  }
}

/** Removes what is too old or too much; answers how many. Never touches a live attempt. */
export async function sweepAttempts(deps: SweepDeps): Promise<number> {
  const { files, clock, limits } = deps
  const ended: Ended[] = []
  let bytes = 0
  for (const name of await readdir(files.attemptsDirectory).catch(() => [])) {
    if (name.endsWith(HALF_REMOVED)) {
      // Of an earlier sweep that was cut off: removing the rest is removing it again.
      await deps.logs.remove(files.directoryOf(name.slice(0, -HALF_REMOVED.length)))
      continue
    }
    const found = await measure(files, name)
    bytes += found.bytes
    if (found.endedAt !== undefined)
      ended.push({ name, bytes: found.bytes, endedAt: found.endedAt })
  }
  ended.sort((a, b) => a.endedAt - b.endedAt)
  let removed = 0
  for (const one of ended) {
    const old = clock.now() - one.endedAt > limits.attemptKeepMs
    if (!old && bytes <= limits.attemptKeepBytesMax) break
    if (!(await remove(deps, one.name))) continue
    bytes -= one.bytes
    removed += 1
  }
  return removed
}

async function measure(
  files: AttemptFiles,
  name: string,
): Promise<{ bytes: number; endedAt?: number }> {
  const directory = files.directoryOf(name)
  const bytes = await bytesOf(directory)
  if (files.isLive(name)) return { bytes }
  // The last thing that comes into a directory is the journal, at the end.
  const last = await stat(directory).catch(() => undefined)
  return last === undefined ? { bytes } : { bytes, endedAt: last.mtimeMs }
}

async function bytesOf(directory: string): Promise<number> {
  let bytes = 0
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) bytes += await bytesOf(path)
    else bytes += (await stat(path).catch(() => undefined))?.size ?? 0
  }
  return bytes
}

async function remove({ files, logs, log }: SweepDeps, name: string): Promise<boolean> {
  try {
    const address = files.addressOf(name)
    await logs.remove(files.directoryOf(name))
    if (address !== undefined) files.dropPointer(address, name)
    return true
  } catch (cause) {
    // One attempt that cannot be removed must not keep all others.
    log.warn({ name, error: toErrorRecord(cause) }, 'an ended attempt could not be removed')
    return false
  }
}
