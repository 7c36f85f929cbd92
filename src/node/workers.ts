/**
 * The workers that a node serves: its own, and those in processes of their own. Decides: that all are
 * known to the same app and obey it in the same way, and that nodes of a cluster tell each other what
 * they have heard, so that each can show it.
 */
import { statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Log, Registry, Subscription, Transport } from '../ports/index.ts'
import { pack, TroupeError, toErrorRecord, unpack } from '../protocol/index.ts'
import {
  DirectWorkers,
  inspectRun,
  type KeptRun,
  RemoteWorkers,
  type RemoteWorkersDeps,
  Reports,
  readOverheard,
  streamSize,
  type Worker,
  type WorkerOrder,
  type WorkerRegistrar,
  type WorkerReport,
} from '../worker/index.ts'
import type { ServedWorkers } from './app.ts'
import type { RunningApp } from './node.ts'
import type { RunMirror } from './run-mirror.ts'
import { troupeVersion } from './version.ts'

type Deps = Omit<RemoteWorkersDeps, 'registrar' | 'transport'> & {
  transport: Transport
  shardCount: number
  /** What lies on other nodes, where there are any. */
  mirror: RunMirror | undefined
  /** What all of these share. */
  registry: Registry | undefined
  /** The other nodes that are there. */
  others: () => string[]
}

/** What the node's own worker is found at. */
const OWN_ADDRESS = 'local'

export class NodeWorkers implements ServedWorkers {
  readonly #deps: Deps
  readonly #log: Log
  #remote: RemoteWorkers | undefined
  #direct: DirectWorkers | undefined
  #overhearing: Subscription | undefined
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
    const kept = keeper?.app.workers?.(keeper.context)
    if (kept === undefined) return
    this.#deps.runs.open()
    const registrar = this.#deps.mirror === undefined ? kept : this.#shared(kept)
    this.#remote = new RemoteWorkers({ ...this.#deps, registrar })
    if (own) this.#reports = this.#reportsOf(own, registrar)
    this.#reports?.start()
  }

  admit(name: string, order: WorkerOrder): void {
    if (name !== this.#deps.node) {
      this.#direct?.admit(name, order)
      this.#remote?.admit(name, order.admitted)
      return
    }
    if (order.admitted) this.#own?.release('operator')
    else this.#own?.hold('operator', order.reason ?? 'it is taken offline')
  }

  stop(): void {
    this.#reports?.stop()
    this.#direct?.stop()
    this.#overhearing?.unsubscribe()
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
    return elsewhere.length === 0 ? here : byBegin(fullest([...here, ...elsewhere]))
  }

  /** Of those, what lies on the disk of this node. */
  runsHere(address: string): KeptRun[] {
    const own = this.#own?.runs.runs(address) ?? []
    const uploaded = this.#remote === undefined ? [] : this.#deps.runs.runs(address)
    return own.length === 0 || uploaded.length === 0
      ? [...own, ...uploaded]
      : byBegin([...own, ...uploaded])
  }

  /** In a cluster: whoever is heard here is known everywhere, and workers may come without a key. */
  #shared(kept: WorkerRegistrar): WorkerRegistrar {
    const { transport, subjects, node, others, registry } = this.#deps
    const heard = async (report: WorkerReport): Promise<WorkerOrder> => {
      const order = await kept.heard(report)
      transport.publish(subjects.workerReports(), pack(report))
      return order
    }
    const registrar: WorkerRegistrar = { authenticate: (claim) => kept.authenticate(claim), heard }
    this.#overhearing = transport.subscribe(subjects.workerReports(), {}, ({ payload }) =>
      this.#overhear(kept, payload),
    )
    if (kept.queuesOf && registry) {
      const queuesOf = kept.queuesOf.bind(kept)
      const nodes = () => [node, ...others()]
      const more = { nodes, registry, registrar: { heard, queuesOf } }
      this.#direct = new DirectWorkers({ ...this.#deps, ...more })
      this.#direct.start()
    }
    return registrar
  }

  #overhear(kept: WorkerRegistrar, payload: Uint8Array): void {
    try {
      const report = readOverheard(unpack(payload))
      if (report.node === this.#deps.node) return
      this.#direct?.forget(report.name)
      kept.overheard?.(report)
    } catch (thrown) {
      // A node of another version.
      this.#log.debug({ error: toErrorRecord(thrown) }, 'what a node says of a worker is not read')
    }
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

/** What a worker had brought to a node that it lost, it has brought to another once more. */
function fullest(runs: readonly KeptRun[]): KeptRun[] {
  const byName = new Map<string, KeptRun>()
  for (const run of runs) {
    // What lies elsewhere has the name of its node before its own.
    const name = basename(run.directory).replace(/^.*\./, '')
    const other = byName.get(name)
    if (other === undefined || fullness(run) > fullness(other)) byName.set(name, run)
  }
  return [...byName.values()]
}

/** The end is told when all of the rest is there. */
function fullness({ directory }: KeptRun): number {
  if (inspectRun(directory).kind === 'ended') return Number.POSITIVE_INFINITY
  return streamSize(directory, 'stdout') + streamSize(directory, 'stderr')
}

function byBegin(runs: KeptRun[]): KeptRun[] {
  return runs.sort((a, b) => beganMs(a.directory) - beganMs(b.directory))
}

/** The record of an attempt is written when it begins. */
function beganMs(directory: string): number {
  return statSync(join(directory, 'attempt.json'), { throwIfNoEntry: false })?.mtimeMs ?? 0
}
