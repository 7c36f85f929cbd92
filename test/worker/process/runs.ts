/** Run directories for tests, removed together with whatever still lives in them. */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import {
  type ProcessLimits,
  ProcessRunner,
  type ProcessSpec,
  type RunningProcess,
} from '../../../src/worker/process/index.ts'
import { realClock, silentLog } from './real-time.ts'

export class Runs {
  readonly root: string
  readonly runner: ProcessRunner
  readonly #started = new Set<RunningProcess>()

  constructor(root: string, limits: Partial<ProcessLimits>) {
    this.root = root
    this.runner = new ProcessRunner({ clock: realClock, log: silentLog, limits })
  }

  static async create(limits: Partial<ProcessLimits> = {}): Promise<Runs> {
    return new Runs(await mkdtemp(join(tmpdir(), 'troupe-runs-')), { attachPollMs: 50, ...limits })
  }

  dir(name: string): string {
    return join(this.root, name)
  }

  async start(name: string, spec: ProcessSpec): Promise<RunningProcess> {
    const run = await this.runner.start(this.dir(name), spec)
    this.#started.add(run)
    return run
  }

  async attach(name: string): Promise<RunningProcess | undefined> {
    const run = await this.runner.attach(this.dir(name))
    if (run !== undefined) this.#started.add(run)
    return run
  }

  async text(name: string, file: string): Promise<string> {
    return readFile(join(this.dir(name), file), 'utf8')
  }

  async close(): Promise<void> {
    for (const run of this.#started) run.detach()
    await endRuns(this.root, this.runner)
    await rm(this.root, { recursive: true, force: true })
  }
}

/** Ends whatever still lives in the run directories below `root`, before they are removed. */
export async function endRuns(root: string, runner = newRunner()): Promise<void> {
  const names = await readdir(root).catch(() => [])
  for (const name of names) await (await runner.attach(join(root, name)))?.kill({ graceMs: 0 })
}

function newRunner(): ProcessRunner {
  return new ProcessRunner({ clock: realClock, log: silentLog, limits: { attachPollMs: 50 } })
}

/** Whether a process of that pid lives; zombies do not. */
export async function lives(pid: number): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  return line !== undefined && !/\) [ZX] /.test(line)
}
