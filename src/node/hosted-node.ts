/**
 * A node, put together from its plan and its ground. Decides: the order of start and stop. Leaves to
 * others: which adapter stands behind which port and how the node has its shards (create.ts, join.ts).
 */
import { Client } from '../client/index.ts'
import type { Clock, Log, Subscription, Transport } from '../ports/index.ts'
import type { Limits, Subjects } from '../protocol/index.ts'
import { ShardsHere } from '../shard/index.ts'
import { UploadedRuns, Worker } from '../worker/index.ts'
import type { App, AppContext, AppDaemon } from './app.ts'
import { serveSubject } from './app-subjects.ts'
import type { Ground, Shards, ShardsDeps } from './ground.ts'
import { LiveActors } from './live-host.ts'
import type { Membership, ReadyReport, RunningApp, TroupeNode } from './node.ts'
import type { NodePlan } from './options.ts'
import type { Registered } from './registration.ts'
import { RunMirror } from './run-mirror.ts'
import { Singletons } from './singletons.ts'
import { configsOfTasks, queuesWithMore } from './worker-config.ts'
import { NodeWorkers } from './workers.ts'

/** Such tasks wait more than they compute. */
const NODE_TASK_SLOTS = 16
/** A stop does not wait for them: they begin again. */
const NODE_TASK_DRAIN_MS = 1_000

export type MakeShards = (deps: ShardsDeps) => Shards

/** Starts it; what was opened for it is closed when that fails. @throws TroupeError */
export async function startNode(
  plan: NodePlan,
  ground: Ground,
  makeShards: MakeShards,
): Promise<TroupeNode> {
  const node = new HostedNode(plan, ground, makeShards)
  try {
    await node.start()
  } catch (thrown) {
    await node.stop()
    throw thrown
  }
  return node
}

class HostedNode implements TroupeNode {
  readonly name: string
  readonly cluster: string
  readonly limits: Limits
  readonly log: Log
  readonly clock: Clock
  readonly transport: Transport
  readonly subjects: Subjects
  readonly client: Client
  readonly machines: Registered['machines']
  readonly stopped: Promise<string>
  apps: readonly RunningApp[] = []
  readonly #plan: NodePlan
  readonly #ground: Ground
  readonly #live: LiveActors
  readonly #shards: Shards
  readonly #daemons: AppDaemon[] = []
  readonly #singletons: Singletons
  readonly #answering: Subscription[] = []
  readonly #served: NodeWorkers
  #worker: Worker | undefined
  /** Runs what runs on nodes, whatever becomes of the other. */
  #nodeWorker: Worker | undefined
  #tellStopped: (why: string) => void = () => {}
  #handingOver: Promise<void> | undefined
  #stopping: Promise<void> | undefined

  constructor(plan: NodePlan, ground: Ground, makeShards: MakeShards) {
    this.name = plan.name
    this.cluster = plan.cluster
    this.limits = plan.limits
    this.log = plan.log
    this.clock = ground.clock
    this.transport = ground.transport
    this.subjects = ground.subjects
    this.machines = plan.registered.machines
    this.stopped = new Promise((resolve) => {
      this.#tellStopped = resolve
    })
    this.#plan = plan
    this.#ground = ground
    this.#live = new LiveActors(
      (shard, address, effectId, event) => this.#shards.liveEvent(shard, address, effectId, event),
      this.log,
    )
    const here = new ShardsHere()
    this.#shards = makeShards({
      ...{ ground, here },
      live: this.#live,
      stopped: (why) => this.#shardsStopped(why),
    })
    const { data, transport, taskQueue, subjects, clock, random, answerMs } = ground
    const { name: node, cluster, limits, log } = plan
    const { shardCount } = data
    const tries = answerMs === undefined ? {} : { answerMs }
    this.client = new Client({
      ...{ transport, subjects, clock, random, limits, shardCount, near: here, ...tries },
    })
    this.#singletons = new Singletons({
      ...{ client: this.client, clock, log, limits },
      apps: plan.apps,
      isShared: this.#shards.membership !== undefined,
    })
    const directory = data.directoryOf('uploaded-runs')
    this.#served = new NodeWorkers({
      ...{ node, cluster, taskQueue, transport, subjects, limits, clock, random, log },
      ...{ client: this.client, shardCount, others: () => this.#othersHeard() },
      runs: new UploadedRuns({ directory, clock, log, bytesMax: limits.uploadedRunBytesMax }),
      mirror: this.#mirrorOf(ground),
      registry: ground.registry,
    })
  }

  #mirrorOf({ peers, data, clock }: Ground): RunMirror | undefined {
    if (!peers) return undefined
    const { log, limits } = this
    const directory = data.directoryOf('mirrored-runs')
    return new RunMirror({
      ...{ peers, log },
      others: () => this.#othersHeard(),
      own: (address) => this.#served.runsHere(address),
      kept: new UploadedRuns({ directory, clock, log, bytesMax: limits.uploadedRunBytesMax }),
    })
  }

  #othersHeard(): string[] {
    const nodes = this.membership?.status().nodes ?? []
    return nodes.flatMap(({ name, isHeard }) => (isHeard && name !== this.name ? [name] : []))
  }

  get workers(): TroupeNode['workers'] {
    return this.#served.remote
  }

  get membership(): Membership | undefined {
    return this.#shards.membership
  }

  async start(): Promise<void> {
    const { transport, subjects } = this.#ground
    this.apps = this.#plan.apps.map((app, index) => ({
      app,
      context: this.#contextOf(app, this.#plan.sections[index]),
    }))
    this.#answerAsLeader()
    await this.#shards.start()
    await this.#startWorkers()
    await this.#singletons.start()
    this.#served.start(this.apps, this.#worker)
    for (const { app, context } of this.apps) {
      for (const subject of app.subjects?.(context) ?? []) {
        this.#answering.push(serveSubject(transport, subjects, this.log, app.name, subject))
      }
      for (const daemon of app.daemons?.(context) ?? []) {
        await daemon.start()
        this.#daemons.push(daemon)
      }
    }
    this.log.info({ node: this.name, machines: [...this.machines.keys()] }, 'the node serves')
  }

  /** Before it can lead: what a leader does not know yet it would say that it does not know at all. */
  #answerAsLeader(): void {
    for (const { app, context } of this.apps) {
      for (const [report, answer] of Object.entries(app.leaderReports?.(context) ?? {})) {
        this.#shards.leader.on(`${app.name}/${report}`, answer)
      }
    }
  }

  async #startWorkers(): Promise<void> {
    const { worker, registered, limits, log } = this.#plan
    const configOf = configsOfTasks(this.#plan, registered.machines)
    const { data, taskQueue, transport, subjects, clock, random } = this.#ground
    const common = { taskQueue, transport, subjects, clock, random, log, limits, configOf }
    const { client, machines, name } = this
    if (worker !== undefined) {
      this.#worker = new Worker({
        ...{ ...common, ...worker, name, tasks: registered.tasks },
        queues: queuesWithMore(worker.queues, this.#plan),
        directory: data.directoryOf('worker'),
        client: client.as(`worker ${name}`),
      })
      await this.#worker.start()
    }
    if (registered.nodeTasks.size === 0) return
    this.#nodeWorker = new Worker({
      ...{ ...common, slots: NODE_TASK_SLOTS, tasks: registered.nodeTasks },
      // No worker can be named so.
      name: `${name}.node`,
      queues: registered.nodeQueues,
      directory: data.directoryOf('node-worker'),
      client: client.as(`node ${name}`),
      node: { client, clock, limits, machines },
      workerLimits: { drainMs: NODE_TASK_DRAIN_MS },
    })
    await this.#nodeWorker.start()
  }

  #contextOf(app: App, config: unknown): AppContext {
    const { data, clock, random } = this.#ground
    return {
      client: this.client.as(`app ${app.name}`),
      config,
      clock,
      random,
      log: this.log.child({ app: app.name }),
      node: this.name,
      cluster: this.cluster,
      limits: this.limits,
      machines: this.machines,
      directory: data.directoryOf('apps', app.name),
      runs: {
        latest: (address) => this.#served.latestRun(address),
        all: (address) => this.#served.runsOf(address),
      },
      workers: this.#served,
      leader: {
        name: () => this.#shards.leader.name(),
        ask: (report, told) => this.#shards.leader.ask(`${app.name}/${report}`, told),
      },
    }
  }

  async ready(): Promise<ReadyReport> {
    const { shards, reasons } = this.#shards.status()
    reasons.unshift(...(this.#ground.troubles?.() ?? []))
    if ((this.#stopping ?? this.#handingOver) !== undefined) {
      reasons.unshift('the node is stopping')
    }
    return { ready: reasons.length === 0, reasons, shards }
  }

  handOver(): Promise<void> {
    this.#handingOver ??= this.#shards.leave()
    return this.#handingOver
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll()
    return this.#stopping
  }

  #shardsStopped(why: string): void {
    if (this.#stopping !== undefined) return
    this.#tellStopped(why)
    void this.stop()
  }

  /** Outside in: what brings work first, the store last. */
  async #stopAll(): Promise<void> {
    this.#singletons.stop()
    for (const subscription of this.#answering) subscription.unsubscribe()
    for (const daemon of this.#daemons.reverse()) await this.#stopDaemon(daemon)
    this.#served.stop()
    await Promise.all([this.#nodeWorker?.stop(), this.#worker?.stop()])
    await this.handOver()
    this.client.close()
    this.#live.stopAll()
    this.#shards.stop()
    await this.#ground.data.store.close()
    await this.#ground.close()
    this.log.info({ node: this.name }, 'the node has stopped')
    this.#tellStopped('stopped')
  }

  /** An app's fault must not keep the store open. */
  async #stopDaemon(daemon: AppDaemon): Promise<void> {
    try {
      await daemon.stop()
    } catch (thrown) {
      this.log.error({ err: thrown, daemon: daemon.name }, 'a daemon of an app failed to stop')
    }
  }
}
