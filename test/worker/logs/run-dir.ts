/** A run directory written by hand: a stream that grows as a test says, and an end when it says so. */
import { appendFile, mkdir, mkdtemp, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { type LogLimits, LogStore } from '../../../src/worker/logs/index.ts'
import { bootId, processStat } from '../../../src/worker/process/identity.ts'
import { realClock, silentLog } from '../process/real-time.ts'

export class RunDir {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  static async create(path?: string): Promise<RunDir> {
    const run = new RunDir(path ?? (await mkdtemp(join(tmpdir(), 'troupe-log-'))))
    await mkdir(run.path, { recursive: true })
    // This very process stands in for the shim, so the run goes on until `end`.
    const claim = `${process.pid} ${processStat(process.pid)?.startTicks} ${bootId()} 1000 end\n`
    await writeFile(join(run.path, 'claim'), claim)
    return run
  }

  async append(bytes: Uint8Array | string, stream = 'stdout'): Promise<void> {
    await appendFile(join(this.path, stream), bytes)
  }

  /** `endedAt` in unix ms; now when absent. */
  async end(endedAt?: number): Promise<void> {
    const path = join(this.path, 'exit')
    await writeFile(path, '0 0 exited 1000 end\n')
    if (endedAt !== undefined) await utimes(path, endedAt / 1_000, endedAt / 1_000)
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true })
  }
}

export function logStore(limits: Partial<LogLimits> = {}): LogStore {
  return new LogStore({ clock: realClock, log: silentLog, limits: { followPollMs: 50, ...limits } })
}
