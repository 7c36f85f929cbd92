/**
 * Everything on this machine that steps need: children, stores, long-term stores, the way to the manager.
 * Decides: the order in which it starts and ends, that the reference prover does what no child does, and
 * that a step whose store is not there waits for it rather than fails.
 */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, type Log, type Random, TroupeError } from '../../../src/index.ts'
import { StageMetrics } from '../history/index.ts'
import type { ManagerClient } from '../manager/index.ts'
import { Processors } from '../processors/index.ts'
import { ProverThreads, proverHandlers } from '../prover/index.ts'
import { follow, pieceSources, StepRunner } from '../steps/index.ts'
import { AttachedStores, LocalStores, type QuarantinedSector } from '../stores/index.ts'
import { registerRunner, type StepInput, type StepOutcome, type StepRun } from '../thread/index.ts'
import { ManagerDown } from '../venus/index.ts'
import type { WorkerConfig } from './config.ts'
import { dataIdentity } from './data-identity.ts'
import { nodeDirectoryOf } from './home.ts'
import { Part, type PartReport } from './part.ts'

export interface StepWorkDeps {
  config: WorkerConfig
  worker: string
  manager: ManagerClient
  clock: Clock
  random: Random
  log: Log
  /** A store can be used now. */
  onStoreUp: (location: string) => void
}

/** Of a step whose store cannot be opened just now. */
const STORE_DOWN_MS = 15_000
const CHILDREN_DIRECTORY = 'children'

interface RunningStep {
  location: string | null
  stop: AbortController
  ended: Promise<unknown>
}

export class StepWork {
  readonly metrics = new StageMetrics()
  readonly processors: Processors
  readonly #deps: StepWorkDeps
  readonly #prover = new ProverThreads()
  readonly #stores: LocalStores
  readonly #attached: AttachedStores
  /** By location. */
  readonly #storeParts = new Map<string, Part>()
  readonly #attachedParts: Part[]
  readonly #running = new Set<RunningStep>()
  #unregister = () => {}

  /** @throws TroupeError for attached stores that cannot be */
  constructor(deps: StepWorkDeps) {
    const { config, clock, log } = deps
    this.#deps = deps
    const onLost = (location: string, why: string) => this.#lost(location, why)
    this.#stores = new LocalStores({ clock, log, retentionMs: config.quarantineMs, onLost })
    this.#attached = new AttachedStores(
      config.attached.map(({ name, location, isReadonly }) => ({
        ...{ name, location, readonly: isReadonly },
      })),
    )
    this.processors = new Processors(config.processors.children, {
      ledgerDirectory: join(config.data, CHILDREN_DIRECTORY),
      ...{ clock, log },
      onTrouble: (trouble) => log.warn({ ...trouble }, 'a child of the worker is in trouble'),
    })
    for (const [stage, handler] of proverHandlers(this.#prover)) {
      this.processors.registerInner(stage, handler)
    }
    for (const { location, name } of config.threads) {
      if (location === null) continue
      const open = async () => {
        await this.#stores.open(location)
        deps.onStoreUp(location)
        return () => {}
      }
      this.#storeParts.set(location, new Part(`store ${name}`, open, { clock, log }))
    }
    this.#attachedParts = this.#attached
      .list()
      .map(
        ({ name, location }) =>
          new Part(`attached ${name}`, () => this.#checkAttached(name, location), { clock, log }),
      )
  }

  /** @throws TroupeError `conflict` when another daemon has these children, `store-failed` */
  async start(): Promise<void> {
    await this.processors.start()
    await Promise.all([...this.#storeParts.values()].map((part) => part.start()))
    for (const part of this.#attachedParts) void part.start()
    const { worker, config, manager, clock, random, log } = this.#deps
    const runner = new StepRunner({
      ...{ manager, clock, random, log },
      workerName: worker,
      // Those of a cluster outlive what this worker has.
      lifeOfThreads:
        config.cluster?.name ?? (await dataIdentity(config.data, nodeDirectoryOf(config))),
      processors: this.processors,
      openStore: (location) => this.#stores.open(location),
      attached: this.#attached,
      pieces: pieceSources({
        directories: config.localPiecesDirs,
        managerUrl: new URL('/', manager.url).href,
        token: config.manager.pieceToken ?? undefined,
      }),
      staticTrees: config.processors.staticTreeD,
      onEnded: (step) => this.metrics.ended(step),
    })
    const run = this.#guarded((input, context) => runner.run(input, context))
    const unregister = registerRunner(worker, run)
    this.#unregister = () => {
      unregister()
      runner.stop()
    }
  }

  /**
   * Behind the worker that takes the tasks: it has left what runs to the next start, so what is cut here
   * counts as no failure. Nothing touches a store any more once this has resolved.
   */
  async stop(): Promise<void> {
    this.#unregister()
    const running = [...this.#running]
    for (const { stop } of running) stop.abort(new TroupeError('unavailable', 'the worker stops'))
    const parts = [...this.#storeParts.values(), ...this.#attachedParts]
    await Promise.all(parts.map((part) => part.stop()))
    await this.processors.stop()
    await this.#prover.stop()
    await Promise.all(running.map(({ ended }) => ended))
    this.#stores.close()
  }

  sweep(): Promise<void> {
    return this.#stores.sweep()
  }

  quarantined(): Promise<QuarantinedSector[]> {
    return this.#stores.quarantined()
  }

  /** A person's word that one may go. @returns false where there is no such one */
  async acknowledge(name: string): Promise<boolean> {
    const meant = (await this.quarantined()).filter((one) => one.name === name)
    for (const { location } of meant) await this.#stores.acknowledge(location, name)
    return meant.length > 0
  }

  reports(): PartReport[] {
    return [...this.#storeParts.values(), ...this.#attachedParts].map((part) => part.report())
  }

  #guarded(run: StepRun): StepRun {
    return (input, context) => {
      const part = input.location === null ? undefined : this.#storeParts.get(input.location)
      if (part !== undefined && !part.isUp)
        return Promise.resolve(restWithout(whyDown(input, part)))
      const stop = new AbortController()
      const unfollow = follow(context.signal, stop)
      this.metrics.started(input, input.waitedMs)
      const work = run(input, {
        taskId: context.taskId,
        // Asking for it makes it, and few steps have a use for it.
        get directory() {
          return context.directory
        },
        signal: stop.signal,
        progress: (value) => context.progress(value),
        log: (fields, message) => context.log(fields, message),
      }).catch((thrown: unknown) => {
        const { reason } = stop.signal
        if (context.signal.aborted || !(reason instanceof StoreLost)) throw thrown
        return restWithout(reason.message)
      })
      const ended = work
        .catch(() => undefined)
        .finally(() => {
          unfollow()
          this.#running.delete(step)
        })
      const step = { location: input.location, stop, ended }
      this.#running.add(step)
      return work
    }
  }

  /** What runs there must not go on beside another worker. The part takes it again as soon as it can. */
  #lost(location: string, why: string): void {
    const message = `its store ${location} was lost: ${why}`
    for (const step of this.#running) {
      if (step.location === location) step.stop.abort(new StoreLost('unavailable', message))
    }
    this.#storeParts.get(location)?.fail(message)
  }

  /** Sectors that lie where nobody else looks for them are lost. */
  async #checkAttached(name: string, location: string): Promise<() => void> {
    const found = await stat(location)
    if (!found.isDirectory()) throw new TroupeError('unavailable', `${location} is no directory`)
    try {
      const known = await this.#deps.manager.call('StoreBasicInfo', [name])
      if (known === null) {
        const why = `the manager knows no store "${name}": add it there, or name it as it is called there`
        throw new TroupeError('not-found', why)
      }
    } catch (thrown) {
      // Its other calls tell of an outage; the store itself is there.
      if (!(thrown instanceof ManagerDown)) throw thrown
    }
    return () => {}
  }
}

/** Under a step, which is none of its faults. */
class StoreLost extends TroupeError {}

function whyDown({ location }: StepInput, part: Part): string {
  const { problem } = part.report()
  return `its store ${location} is not there: ${problem ?? 'it is being opened'}`
}

function restWithout(why: string): StepOutcome {
  return { kind: 'rest', reason: 'worker-down', afterMs: STORE_DOWN_MS, why }
}
