/**
 * A worker that stands alone, put together as its daemon does it: a node with its threads, its pool, its
 * children, its stores, the code of its steps; only the manager is scripted, and nothing listens. Decides:
 * how it is configured, and how a while of work is begun and ended.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { platform } from '../../machines/platform/index.ts'
import { parseWorkerConfig, type WorkerConfig } from '../../machines/sealing/daemon/config.ts'
import { type Home, openHome } from '../../machines/sealing/daemon/home.ts'
import { HotConfig } from '../../machines/sealing/daemon/hot-config.ts'
import { StepWork } from '../../machines/sealing/daemon/step-work.ts'
import { ThreadDesk } from '../../machines/sealing/daemon/thread-desk.ts'
import { bringPool, namesOf, placingOf } from '../../machines/sealing/daemon/worker-pool.ts'
import { sealingWith } from '../../machines/sealing/index.ts'
import { type Client, openLog, systemClock } from '../../src/index.ts'
import { pause } from '../measure.ts'
import { ScriptedManager } from './scripted-manager.ts'

export const WORKER = 'bench'
export const IDLE_PROCESSOR = fileURLToPath(new URL('./idle-processor.js', import.meta.url))
/** Those of a sector without deals that have a child; `c1` runs within the worker in others. */
export const STAGES = ['add_pieces', 'tree_d', 'pc1', 'pc2', 'transfer', 'c1', 'c2'] as const
/** For what is left of a sector in each thread, on a busy machine. */
const REST_MS_MAX = 120_000
const POLL_MS = 50
const POLLS_MAX = 200

export class WorkerRig {
  readonly manager: ScriptedManager
  readonly work: StepWork
  readonly #config: WorkerConfig
  readonly #home: Home
  readonly #desk: ThreadDesk

  private constructor(
    config: WorkerConfig,
    parts: { manager: ScriptedManager; work: StepWork; home: Home; desk: ThreadDesk },
  ) {
    this.#config = config
    this.manager = parts.manager
    this.work = parts.work
    this.#home = parts.home
    this.#desk = parts.desk
  }

  static async open(directory: string, threads: number): Promise<WorkerRig> {
    const config = configOf(directory, threads)
    const log = openLog({ level: 'silent' })
    const clock = systemClock()
    const manager = new ScriptedManager()
    const random = { fraction: Math.random, id: () => crypto.randomUUID() }
    const deps = { config, worker: WORKER, manager, clock, random, log }
    const work = new StepWork({ ...deps, onStoreUp: () => undefined })
    await work.start()
    const apps = [platform, sealingWith([platform])]
    const { signal } = new AbortController()
    const home = await openHome(config, WORKER, { apps, log, signal })
    const { client } = home
    const names = namesOf(config)
    await bringPool(client, WORKER, names, log)
    const hot = new HotConfig(config.shared, log)
    const placing = placingOf(WORKER, names)
    const desk = new ThreadDesk({ client, worker: WORKER, config, hot, placing, clock, log })
    await Promise.all(config.threads.map((thread) => desk.bring(thread, true)))
    return new WorkerRig(config, { manager, work, home, desk })
  }

  get client(): Client {
    return this.#home.client
  }

  /** Told how long a step's own work took: what it does with files, and its child. Before its end is committed. */
  hearWork(heard: (state: string, workMs: number) => void): void {
    const { metrics } = this.work
    const ended = metrics.ended.bind(metrics)
    metrics.ended = (step) => {
      heard(step.state, step.workMs)
      ended(step)
    }
  }

  /** All threads seal sectors for a while, and finish those that they have. */
  async seal(durationMs: number): Promise<void> {
    this.manager.open()
    for (const thread of this.#config.threads) await this.#desk.wake(thread)
    await pause(durationMs)
    const ended = this.manager.close(this.#config.threads.length)
    await Promise.race([ended, pause(REST_MS_MAX)])
    // What the last of them is told has yet to be committed.
    for (let poll = 0; !(await this.#isIdle()); poll++) {
      if (poll === POLLS_MAX) throw new Error(await this.#report())
      await pause(POLL_MS)
    }
  }

  async close(): Promise<void> {
    await this.#home.stop()
    await this.work.stop()
  }

  async #isIdle(): Promise<boolean> {
    const rows = await this.#desk.rows()
    return rows.every(({ condition }) => condition === 'idle')
  }

  async #report(): Promise<string> {
    const lines = (await this.#desk.list()).map(
      ({ view }) => `${view.thread}: ${view.condition} in ${view.state}: ${view.why}`,
    )
    return `not all threads came to rest:\n${lines.join('\n')}`
  }
}

function configOf(directory: string, threads: number): WorkerConfig {
  const long = join(directory, 'long')
  mkdirSync(long, { recursive: true })
  const child = (stage: string) =>
    `[[processors.${stage}]]\nbin = ${JSON.stringify(process.execPath)}\nargs = ${JSON.stringify([IDLE_PROCESSOR, stage])}`
  const thread = (n: number) =>
    `[[sealing_thread]]\nname = "t${n}"\nlocation = ${JSON.stringify(join(directory, `store${n}`))}`
  const text = [
    `[worker]\nname = "${WORKER}"`,
    '[sector_manager]\nrpc_client.addr = "http://127.0.0.1:1"',
    // The next sector begins at once; a thread without one waits until it is woken.
    '[sealing]\nseal_interval = "0s"\nrecover_interval = "1h"\nrequest_task_max_retries = 1000',
    `[[attached]]\nname = "long"\nlocation = ${JSON.stringify(long)}`,
    `[troupe]\ndata = ${JSON.stringify(join(directory, 'data'))}`,
    ...STAGES.filter((stage) => stage !== 'c1').map(child),
    ...Array.from({ length: threads }, (_, n) => thread(n)),
  ].join('\n')
  const config = parseWorkerConfig(text, join(directory, 'worker.toml'))
  const { children } = config.processors
  // Its file has no such key: the reference prover does it, which needs sectors that are real.
  children['c1'] = (children['pc1'] ?? []).map((one) => ({ ...one, args: [IDLE_PROCESSOR, 'c1'] }))
  return config
}
