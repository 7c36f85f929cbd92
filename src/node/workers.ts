/**
 * The workers that a node serves: its own, and those in processes of their own. Decides: that both are
 * known to the same app and obey it in the same way.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import {
  RemoteWorkers,
  type RemoteWorkersDeps,
  Reports,
  type Worker,
  type WorkerOrder,
  type WorkerRegistrar,
} from '../worker/index.ts'
import type { ServedWorkers } from './app.ts'
import type { RunningApp } from './node.ts'
import { troupeVersion } from './version.ts'

type Deps = Omit<RemoteWorkersDeps, 'registrar'>

/** What the node's own worker is found at. */
const OWN_ADDRESS = 'local'

export class NodeWorkers implements ServedWorkers {
  readonly #deps: Deps
  readonly #log: Log
  #remote: RemoteWorkers | undefined
  #own: Worker | undefined
  #reports: Reports | undefined

  constructor(deps: Deps) {
    this.#deps = deps
    this.#log = deps.log
  }

  get remote(): RemoteWorkers | undefined {
    return this.#remote
  }

  /** @throws TroupeError `invalid-config` when two apps want to keep the list */
  start(apps: readonly RunningApp[], own: Worker | undefined): void {
    this.#own = own
    const [keeper, second] = apps.filter(({ app }) => app.workers !== undefined)
    if (second) {
      const why = `the apps ${keeper?.app.name} and ${second.app.name} both admit workers: leave one out`
      throw new TroupeError('invalid-config', why)
    }
    const registrar = keeper?.app.workers?.(keeper.context)
    if (registrar === undefined) return
    this.#deps.runs.open()
    this.#remote = new RemoteWorkers({ ...this.#deps, registrar })
    if (own) this.#reports = this.#reportsOf(own, registrar)
    this.#reports?.start()
  }

  admit(name: string, order: WorkerOrder): void {
    if (name !== this.#deps.node) return this.#remote?.admit(name, order.admitted)
    if (order.admitted) this.#own?.release('operator')
    else this.#own?.hold('operator', order.reason ?? 'it is taken offline')
  }

  stop(): void {
    this.#reports?.stop()
    this.#remote?.stop()
    this.#deps.runs.close()
  }

  /** Where what an actor's newest run wrote can be read, whichever worker ran it. */
  async latestRun(address: string): Promise<string | undefined> {
    const own = await this.#own?.runs.latest(address)
    const uploaded = this.#remote && this.#deps.runs.latest(address)
    if (own === undefined || uploaded === undefined) return own ?? uploaded
    return beganMs(own) > beganMs(uploaded) ? own : uploaded
  }

  #reportsOf(worker: Worker, registrar: WorkerRegistrar): Reports {
    const { node, clock } = this.#deps
    return new Reports({
      worker,
      address: OWN_ADDRESS,
      version: troupeVersion(),
      send: (condition) => registrar.heard({ ...condition, name: node, group: '', node }),
      clock,
      log: this.#log,
    })
  }
}

/** The record of an attempt is written when it begins. */
function beganMs(directory: string): number {
  return statSync(join(directory, 'attempt.json'), { throwIfNoEntry: false })?.mtimeMs ?? 0
}
