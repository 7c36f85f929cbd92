/**
 * A node and two workers, each in a process of its own, that are killed in turns; and what can be seen of
 * them from outside: jobs, memory, open files, bytes on disk. Leaves to others: what has to hold.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JobRow } from '../../../machines/jobs/job-view.ts'
import { scriptArguments } from '../../script.ts'
import { until } from '../../waiting.ts'
import { endRuns } from '../../worker/process/runs.ts'
import { NodeChild } from './node-child.ts'

export interface Vitals {
  process: string
  /** Without the pages of files, which the system takes back when it wants to. */
  memoryMiB: number
  openFiles: number
}

const GROUP = 2
const WORKERS = ['a', 'b'] as const
type WorkerName = (typeof WORKERS)[number]

export class Soak {
  readonly directory: string
  readonly #node: NodeChild
  readonly #workers = new Map<WorkerName, ChildProcess>()
  #key = ''

  private constructor(directory: string) {
    this.directory = directory
    this.#node = new NodeChild(join(directory, 'node'), { worker: { queues: ['own'] } })
  }

  static async begin(): Promise<Soak> {
    const soak = new Soak(await mkdtemp(join(tmpdir(), 'troupe-jobs-soak-')))
    await soak.#node.start()
    const group = { group: String(GROUP) }
    const { body } = await soak.#node.operate('POST', '/workers/groups', group)
    soak.#key = String(body['key'])
    for (const name of WORKERS) soak.#startWorker(name)
    return soak
  }

  async close(): Promise<void> {
    for (const name of WORKERS) await this.#killWorker(name)
    await this.#node.kill()
    for (const name of WORKERS) await endRuns(join(this.directory, name, 'worker', 'attempts'))
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5 })
  }

  /** Takes turns: the node, one worker, the other. */
  async killOne(round: number): Promise<void> {
    const name = (['node', ...WORKERS] as const)[round % 3]
    if (name === undefined || name === 'node') {
      await this.#node.kill()
      await this.#node.start()
      return
    }
    await this.#killWorker(name)
    this.#startWorker(name)
  }

  /** All are killed, and go on so much later, as their clocks say. */
  async sleep(aheadMs: number): Promise<void> {
    for (const name of WORKERS) await this.#killWorker(name)
    await this.#node.kill()
    this.#node.aheadMs += aheadMs
    await this.#node.start()
    for (const name of WORKERS) this.#startWorker(name)
  }

  /** A node that is away takes nothing: what is submitted once more may have been taken before. */
  async submit(name: string, content: string): Promise<number> {
    const request = { name, group: GROUP, content }
    return until(
      async () => {
        const { body } = await this.#node.operate('POST', '/jobs', request)
        return body['jobId'] as number | undefined
      },
      { timeoutMs: 60_000, every: 100 },
      'a job that is taken',
    )
  }

  async ask<T>(path: string): Promise<T> {
    const { status, body } = await this.#node.operate('GET', path)
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`)
    return body as T
  }

  /** How many jobs stand where: it costs little, however many there are. */
  async states(): Promise<Map<string, number>> {
    const path = '/troupe/v1/count?machine=job'
    const { rows } = await this.ask<{ rows: { state: string; count: number }[] }>(path)
    return new Map(rows.map(({ state, count }) => [state, count]))
  }

  async jobs(): Promise<JobRow[]> {
    const rows: JobRow[] = []
    let cursor: string | undefined
    do {
      const from = cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`
      const page = await this.ask<{ jobs: JobRow[]; cursor?: string }>(`/jobs?limit=1000${from}`)
      rows.push(...page.jobs)
      cursor = page.cursor
    } while (cursor !== undefined)
    return rows
  }

  async vitals(): Promise<Vitals[]> {
    const pids = [
      ['node', this.#node.pid],
      ...WORKERS.map((name) => [name, this.#workers.get(name)?.pid ?? 0] as const),
    ] as const
    return Promise.all(pids.map(([name, pid]) => vitalsOf(name, pid)))
  }

  /** Of what commands wrote, on the workers and on the node. */
  async runs(): Promise<number> {
    const places = [join('node', 'uploaded-runs'), ...WORKERS.map((name) => join(name, 'worker'))]
    const counts = places.map(async (place) => {
      const below = ['attempts', 'by-address', 'live'].map((part) =>
        readdir(join(this.directory, place, part)),
      )
      return (await Promise.all(below)).flat().length
    })
    return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0)
  }

  async storeBytes(): Promise<number> {
    const store = join(this.directory, 'node', 'store')
    const names = await readdir(store)
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(store, name))).size))
    return sizes.reduce((sum, size) => sum + size, 0)
  }

  #startWorker(name: WorkerName): void {
    const script = join(import.meta.dirname, 'worker-process.ts')
    const words = ['--server', this.#node.url, '--data', join(this.directory, name), '--name', name]
    const argv = [...words, '--group', String(GROUP), '--slots', '8', '--log-level', 'error']
    const worker = spawn(process.execPath, [...scriptArguments(script), ...argv], {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: {
        ...process.env,
        TROUPE_WORKER_KEY: this.#key,
        TROUPE_TEST_AHEAD_MS: String(this.#node.aheadMs),
      },
    })
    this.#workers.set(name, worker)
  }

  async #killWorker(name: WorkerName): Promise<void> {
    const worker = this.#workers.get(name)
    if (!worker || worker.exitCode !== null || worker.signalCode !== null) return
    const exited = new Promise((resolve) => worker.once('exit', resolve))
    worker.kill('SIGKILL')
    await exited
  }
}

async function vitalsOf(name: string, pid: number): Promise<Vitals> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  const files = await readdir(`/proc/${pid}/fd`)
  const memoryKiB = Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1])
  return { process: name, memoryMiB: Math.round(memoryKiB / 1_024), openFiles: files.length }
}
