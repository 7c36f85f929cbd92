/**
 * A whole cluster in one process, from one seed: production engines on simulated ports.
 *
 * Decides: how the parts are put together, and the two phases of a run: safety under faults, then
 * calm, in which everything has to drain within a bound. Leaves to others: what is right
 * (checkers/), what goes wrong (faults.ts, parameters.ts).
 */
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { hostMachine, type MachineDefinition } from '../../src/machine/index.ts'
import { type Limits, subjectsOf, unpack } from '../../src/protocol/index.ts'
import type { Machines } from '../../src/shard/index.ts'
import { Archive } from './archive.ts'
import { Asker } from './asker.ts'
import { chartMachine } from './chart-actions.ts'
import { ChartWork } from './chart-work.ts'
import { type ChartPlan, drawCharts } from './charts.ts'
import { FACTS_KEY } from './checkers/foundings.ts'
import { Caller, type CallerOptions, outcomesOf } from './client.ts'
import { ClusterLogic } from './cluster-logic.ts'
import { drainedOrWhy, endStores } from './draining.ts'
import { EmbeddedLogic } from './embedded-logic.ts'
import { Recorder, type SimEvent } from './events.ts'
import { Faults } from './faults.ts'
import { FoundingLogic, type FoundingStage } from './founding-logic.ts'
import type { MakeGuest } from './guest.ts'
import { machinesOf } from './machines.ts'
import { Mirror } from './mirror.ts'
import { type NodeLogic, SimNode, type Surroundings } from './node.ts'
import { Oracle } from './oracle.ts'
import { calm, drawParameters, type Given, type Parameters } from './parameters.ts'
import { type Parts, REAL } from './parts.ts'
import { SimRandom } from './random.ts'
import { SimCheckpoints } from './sim-checkpoints.ts'
import { SimDirectory } from './sim-directory.ts'
import { SimRegistry } from './sim-registry.ts'
import { SimTasks } from './sim-tasks.ts'
import { SimNetwork } from './sim-transport.ts'
import { SlotFacts } from './slot-facts.ts'
import { SimWorker } from './worker.ts'
import type { WorkerProcess } from './worker-process.ts'
import { Workload } from './workload.ts'

/** What travels from shard to shard, as far as events tell of it. */
interface RelayRequest {
  from: number
  generation: number
  first: number
  messages: readonly unknown[]
}

const DRAIN_STEP_MS = 500
/** Clocks may be apart by some seconds, and a shard's time never goes back. */
const DRAIN_MAX_MS = 90_000
const READ_BACK_MS = 5_000
/** How often it is seen whether a node has promises. */
const LOOK_MS = 20
const START_MS = Date.UTC(2026, 0, 1)

export type MakeWorker = (
  name: string,
  options: CallerOptions,
  limits: Limits,
  tasks: SimTasks,
) => WorkerProcess

export interface WorldOptions {
  seed: number
  given?: Given
  parts?: Parts
  /** Instead of the stand-in; one with promises needs `runWithPromises`. */
  makeWorker?: MakeWorker
  /** Who needs `runWithPromises`, too. */
  makeGuest?: MakeGuest
  /** Changes what was drawn. */
  tune?: (parameters: Parameters) => void
}

export class World {
  readonly base = new VirtualClock({ startMs: START_MS })
  readonly parameters: Parameters
  readonly recorder: Recorder
  readonly mirror = new Mirror()
  readonly archive = new Archive()
  readonly around: Surroundings
  readonly nodes: readonly SimNode[]
  readonly callers: readonly Caller[]
  readonly workers: readonly WorkerProcess[]
  readonly oracle: Oracle
  readonly workload: Workload
  readonly #faults: Faults
  readonly #checkpoints: SimCheckpoints
  readonly #operator: Caller
  readonly #isPromising: boolean
  #commits = 0

  constructor({ seed, given = {}, parts = REAL, makeWorker, makeGuest, tune }: WorldOptions) {
    const random = new SimRandom(seed)
    this.#isPromising = makeWorker !== undefined || makeGuest !== undefined
    this.parameters = drawParameters(random.fork('parameters'), given)
    tune?.(this.parameters)
    const { parameters, base } = this
    const mirror = this.mirror
    this.recorder = new Recorder(() => base.monotonic())
    const charts = drawCharts(random.fork('charts'), parameters.charts)
    if (charts.length > 0) this.recorder.add({ kind: 'charts', charts })
    this.around = {
      base,
      network: new SimNetwork(base, random.fork('network'), parameters.network),
      journal: new parts.Server(),
      tasks: new SimTasks(base, random.fork('tasks'), parameters.queue),
      recorder: this.recorder,
      parameters,
      parts,
      subjects: subjectsOf('sim'),
      machines: { 1: hosted(1, parameters, charts), 2: hosted(2, parameters, charts) },
      directory: hasDirectory(parameters) ? this.#directory(random.fork('directory')) : undefined,
      guest: undefined,
    }
    if (makeGuest) this.#invite(makeGuest, random.fork('guest'))
    this.oracle = new Oracle(this.around, random.fork('oracle'))
    const registry = new SimRegistry({
      base,
      random: random.fork('registry'),
      rates: parameters.registry,
      isCut: (from, to) => this.around.network.isCut(from, to),
      isDown: () => this.around.journal.isDown,
      claimed: (node, key, outcome) => {
        this.recorder.add({ kind: 'claim', node, key, outcome })
        if (key === FACTS_KEY && outcome === 'won') founding.hasFounder = true
      },
    })
    this.#checkpoints = new SimCheckpoints({
      base,
      random: random.fork('checkpoints'),
      rates: parameters.checkpoints,
      isDown: () => this.around.journal.isDown,
      recorded: (node, shard, { slot, hash }, rows) => {
        const differs = this.archive.difference(shard, slot, rows) ?? null
        this.recorder.add({ kind: 'checkpoint', node, shard, slot, hash, differs })
      },
      gone: (shard, slot, why) => this.recorder.add({ kind: 'checkpoint-gone', shard, slot, why }),
    })
    const serve = (node: SimNode) => new ClusterLogic(node, registry, this.#checkpoints)
    const founding: FoundingStage = {
      ...{ random: random.fork('founding'), registry, checkpoints: this.#checkpoints },
      ...{ hasFounder: false, tries: 0, serve },
    }
    const logics: Record<Parameters['logic'], (node: SimNode) => NodeLogic> = {
      cluster: serve,
      founding: (node) => new FoundingLogic(node, founding),
      embedded: (node) => new EmbeddedLogic(node),
      oracle: this.oracle.logicOf,
    }
    const logicOf = logics[parameters.logic]
    this.nodes = Array.from({ length: parameters.nodes }, (_, index) => {
      const name = `n${index + 1}`
      return new SimNode(name, this.around, random.fork(name), logicOf)
    })
    const named = (prefix: string, length: number) =>
      Array.from({ length }, (_, index) => this.#caller(`${prefix}${index + 1}`, random))
    const writers = named('c', parameters.clients)
    const readers = named('r', parameters.readers)
    const beside = named('k', parameters.sideCallers)
    this.callers = [...writers, ...readers, ...beside]
    const askers = Array.from({ length: parameters.askers }, (_, index) => {
      const name = `q${index + 1}`
      return new Asker(name, this.#callerOptions(random.fork(name)), parameters.thinkMs)
    })
    this.#operator = this.#caller('op', random)
    this.workers = Array.from({ length: parameters.workers }, (_, index) => {
      const name = `w${index + 1}`
      const options = this.#callerOptions(random.fork(name))
      const { tasks } = this.around
      if (makeWorker) return makeWorker(name, options, parameters.limits, tasks)
      return new SimWorker(name, options, tasks)
    })
    this.workload = new Workload({
      random: random.fork('workload'),
      callers: writers,
      readers,
      askers,
      beside,
      recorder: this.recorder,
      actors: parameters.actors,
      thinkMs: parameters.thinkMs,
      restChance: parameters.restChance,
      charts: charts.length > 0 ? new ChartWork(random.fork('chart work'), charts) : undefined,
    })
    this.#faults = new Faults(this.#victims(), random.fork('faults'))
    this.#watch(mirror)
  }

  get events(): readonly SimEvent[] {
    return this.recorder.events
  }

  /** Nodes, workers and the oracle; the work and the troubles are begun by `run`. */
  boot(): void {
    if (this.parameters.logic === 'oracle') this.oracle.run(this.nodes)
    for (const node of this.nodes) node.start()
    for (const worker of this.workers) worker.start()
  }

  run(ms: number): readonly SimEvent[] {
    for (const partMs of this.#phases(ms)) this.base.advance(partMs)
    return this.events
  }

  /** The same, with room for promises between any two instants. */
  async runWithPromises(ms: number): Promise<readonly SimEvent[]> {
    for (const partMs of this.#phases(ms)) {
      if (this.#isPromising) await this.base.settle(partMs)
      else await this.#letPass(partMs)
    }
    return this.events
  }

  /** Turns of the event loop take longer than anything else, so there are some only while a node needs them. */
  async #letPass(ms: number): Promise<void> {
    for (let leftMs = ms; leftMs > 0; leftMs -= LOOK_MS) {
      const stepMs = Math.min(LOOK_MS, leftMs)
      if (this.nodes.some(({ hasPromises }) => hasPromises)) await this.base.settle(stepMs)
      else this.base.advance(stepMs)
    }
  }

  /** Each part of the time, to be let pass by whoever asks for the next. */
  *#phases(ms: number): Generator<number> {
    this.boot()
    yield* this.#trouble(ms)
    yield* this.#calm()
  }

  /** Safety: work under faults. */
  *#trouble(ms: number): Generator<number> {
    this.workload.begin()
    this.around.guest?.begin()
    this.#faults.begin()
    yield ms
  }

  /** Liveness: nothing goes wrong any more, and everything has to come to an end. */
  *#calm(): Generator<number> {
    calm(this.parameters)
    this.workload.end()
    this.#faults.end()
    this.around.guest?.end()
    const drainMaxMs = this.around.guest?.drainMaxMs ?? DRAIN_MAX_MS
    const began = this.base.monotonic()
    let why: string | undefined = 'nothing has happened yet'
    while (why !== undefined && this.base.monotonic() - began < drainMaxMs) {
      this.#resumeAll()
      yield DRAIN_STEP_MS
      why = drainedOrWhy(this)
    }
    const afterMs = Math.round(this.base.monotonic() - began)
    if (why === undefined) this.recorder.add({ kind: 'drained', afterMs })
    else this.recorder.add({ kind: 'not-drained', why })
    this.#readBack()
    yield READ_BACK_MS
    endStores(this)
    this.around.guest?.tellEnd()
  }

  /** Its machines are the same in both versions. */
  #invite(makeGuest: MakeGuest, random: SimRandom): void {
    const { base, recorder, parameters, mirror, around } = this
    const { network, subjects, machines } = around
    const nodes = () => this.nodes
    const stage = { base, network, recorder, parameters, subjects, mirror, random, nodes }
    const guest = makeGuest(stage)
    const own = hostedOnce(guest.machines, parameters.limits)
    around.guest = guest
    around.machines = {
      1: new Map([...machines[1], ...own]),
      2: new Map([...machines[2], ...own]),
    }
  }

  #victims() {
    const { base, recorder, parameters, nodes, workers } = this
    const { network, journal } = this.around
    const callers = this.callers.map(({ name }) => name)
    const journalLost = () => {
      this.oracle.journalLost()
      this.#checkpoints.lose()
    }
    const powerLost = () => this.around.directory?.losePower()
    const lost = { journalLost, powerLost }
    return { base, recorder, parameters, network, journal, nodes, workers, callers, ...lost }
  }

  /** Each of its commits is told of as a slot: known and on disk at once. */
  #directory(random: SimRandom): SimDirectory {
    const { base, recorder, parameters } = this
    return new SimDirectory({
      base,
      random,
      rates: parameters.disk,
      owned: (node, ownerId) => recorder.add({ kind: 'owns', node, ownerId }),
      committed: (node, batch) => {
        const { shard, slot } = batch
        this.around.journal.watch(node, { ...batch, afterSequence: 0 }, slot)
        recorder.add({ kind: 'flushed', node, shard, slot })
        recorder.add({ kind: 'slot-known', node, shard, slot })
      },
      founded: (node, at) => {
        this.archive.see(at.shard, at.slot, undefined)
        recorder.add({ kind: 'slot', node, ...at, sequence: 0, fact: { kind: 'founded' } })
      },
      flushed: (node, shard, slot) => recorder.add({ kind: 'flushed', node, shard, slot }),
    })
  }

  #callerOptions(random: SimRandom): CallerOptions {
    const { base, recorder, parameters } = this
    const { network, subjects } = this.around
    const { shards, limits, skewMs } = parameters
    const skew = Math.floor((random.fraction() * 2 - 1) * skewMs)
    const timeoutMs = limits.requestTimeoutMs
    return { base, network, recorder, subjects, random, shards, skewMs: skew, timeoutMs }
  }

  #caller(name: string, random: SimRandom): Caller {
    return new Caller(name, this.#callerOptions(random.fork(name)))
  }

  /** What parked or was paused goes on: an operator tidies up. */
  #resumeAll(): void {
    if (this.#operator.open.size > 0) return
    for (const actor of this.mirror.all()) {
      if (!actor.paused && actor.parked === null) continue
      if (actor.status === 'active') {
        this.#operator.call({ address: actor.address, op: 'resume', author: 'op' }, 20_000)
      }
    }
  }

  #readBack(): void {
    for (const address of this.workload.addresses) {
      const id = this.#operator.newId()
      this.recorder.add({ kind: 'read-began', id, address })
      this.#operator.call({ address, op: 'get', id }, 20_000)
    }
  }

  #watch(mirror: Mirror): void {
    const { recorder } = this
    const { network, journal, tasks, subjects } = this.around
    const facts = new SlotFacts()
    journal.watch = (node, { shard, slot, record: bytes }, sequence) => {
      const { hash, prev, record, fact } = facts.of(bytes)
      this.#commits += 1
      this.archive.see(shard, slot, record)
      recorder.add({ kind: 'slot', node, shard, slot, sequence, hash, prev, fact })
    }
    journal.watchRemoved = (node, shard, to) =>
      recorder.add({ kind: 'slots-removed', node, shard, to })
    journal.watchRefused = (node, { shard, slot }) =>
      recorder.add({ kind: 'refused', node, shard, slot })
    const add = recorder.add.bind(recorder)
    recorder.add = (happening) => {
      add(happening)
      if (happening.kind === 'slot' || happening.kind === 'slots-lost') {
        mirror.see(recorder.events.at(-1)!)
      }
      if (happening.kind === 'slots-lost') facts.rewind(mirror.all())
    }
    const shardSubjects = new Set<string>()
    const relays = new Map<string, number>()
    for (let shard = 0; shard < this.parameters.shards; shard++) {
      shardSubjects.add(subjects.shard(shard))
      relays.set(subjects.relay(shard), shard)
    }
    network.watch = {
      sent: (node, subject, payload) => {
        const target = relays.get(subject)
        if (target === undefined) return
        const { from: shard, generation, first, messages } = unpack(payload) as RelayRequest
        const count = messages.length
        recorder.add({ kind: 'relayed', node, shard, target, generation, first, count })
      },
      replied: (node, subject, request, reply) => {
        if (!shardSubjects.has(subject)) return
        const commands = unpack(request) as { address: string; id: string; op: string }[]
        const outcomes = outcomesOf(reply)
        commands.forEach(({ address, id, op }, index) => {
          if (op === 'task.beat') return
          const outcome = outcomes[index]!
          const code = 'ok' in outcome ? 'ok' : outcome.error.code
          const turn =
            op === 'get' && 'ok' in outcome ? (outcome.ok as { turn: number }).turn : undefined
          const event = { kind: 'released' as const, node, address, id, code }
          recorder.add(turn === undefined ? event : { ...event, turn })
        })
      },
    }
    tasks.published = (node, { taskId }) => recorder.add({ kind: 'task-published', node, taskId })
  }

  get commits(): number {
    return this.#commits
  }
}

function hasDirectory({ logic }: Parameters): boolean {
  return logic === 'embedded' || logic === 'founding'
}

/** Hosting is pure and costs some milliseconds: worlds with the same machines and limits share it. */
const HOSTED = new WeakMap<readonly MachineDefinition[], Map<number, Machines>>()
const FIXED = { 1: machinesOf(1), 2: machinesOf(2) }

function hosted(version: 1 | 2, parameters: Parameters, charts: readonly ChartPlan[]): Machines {
  const { limits } = parameters
  const fixed = hostedOnce(FIXED[version], limits)
  if (charts.length === 0) return fixed
  const drawn = charts.map((plan) => hostMachine(chartMachine(plan, version), limits))
  return new Map([...fixed, ...drawn.map((one) => [one.definition.name, one] as const)])
}

function hostedOnce(definitions: readonly MachineDefinition[], limits: Limits): Machines {
  const known = HOSTED.get(definitions) ?? new Map<number, Machines>()
  HOSTED.set(definitions, known)
  const machines =
    known.get(limits.microstepsMax) ??
    new Map(definitions.map((machine) => [machine.name, hostMachine(machine, limits)]))
  known.set(limits.microstepsMax, machines)
  return machines
}
