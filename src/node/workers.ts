/**
 * The workers that a node serves: its own, and those in processes of their own. Decides: that both are
 * known to the same app and obey it in the same way.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { Log } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import {
  type KeptRun,
  RemoteWorkers,
  type RemoteWorkersDeps,
  Reports,
  type Worker,
  type WorkerOrder,
  type WorkerRegistrar,
} from '../worker/index.ts'
import type { ServedWorkers } from './app.ts'
import type { RunningApp } from './node.ts'
import type { RunMirror } from './run-mirror.ts'
import { troupeVersion } from './version.ts'

type Deps = Omit<RemoteWorkersDeps, 'registrar'> & {
  /** What lies on other nodes, where there are any. */
  mirror: RunMirror | undefined
}

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
    this.#deps.mirror?.open()
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
    this.#deps.mirror?.close()
  }

  /** Where what an actor's newest run wrote can be read, whichever worker ran it, on whichever node. */
  async latestRun(address: string): Promise<string | undefined> {
    return (await this.runsOf(address)).at(-1)?.directory
  }

  /** The same of all that are kept, oldest first. */
  async runsOf(address: string): Promise<KeptRun[]> {
    const here = this.runsHere(address)
    const elsewhere = (await this.#deps.mirror?.runs(address)) ?? []
    return elsewhere.length === 0 ? here : byBegin([...here, ...elsewhere])
  }

  /** Of those, what lies on the disk of this node. */
  runsHere(address: string): KeptRun[] {
    const own = this.#own?.runs.runs(address) ?? []
    const uploaded = this.#remote === undefined ? [] : this.#deps.runs.runs(address)
    return own.length === 0 || uploaded.length === 0
      ? [...own, ...uploaded]
      : byBegin([...own, ...uploaded])
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

function byBegin(runs: KeptRun[]): KeptRun[] {
  return runs.sort((a, b) => beganMs(a.directory) - beganMs(b.directory))
}

/** The record of an attempt is written when it begins. */
function beganMs(directory: string): number {
  return statSync(join(directory, 'attempt.json'), { throwIfNoEntry: false })?.mtimeMs ?? 0
}
