/**
 * The cluster's own logic in a simulated node: production ClusterNode on simulated ports.
 *
 * Decides: limits that fit a world whose minutes are short, and what of its log becomes events.
 * Leaves to others: everything that it decides itself (src/cluster).
 */
import type { ClusterLimits, ClusterNode, ClusterStatus, Order } from '../../src/cluster/index.ts'
import type { Log } from '../../src/ports/index.ts'
import { ShardsHere } from '../../src/shard/index.ts'
import type { NodeLogic, SimNode } from './node.ts'
import type { CheckpointRates, SimCheckpoints } from './sim-checkpoints.ts'
import type { SimRegistry } from './sim-registry.ts'

const LIMITS: Partial<ClusterLimits> = {
  leaderBeatMs: 250,
  leaderSilenceMs: 1_200,
  leaderJitterMs: 300,
  memberBeatMs: 250,
  memberSilenceMs: 1_000,
  memberProbeMs: 60,
  memberGoneMs: 150,
  memberTrustMs: 5_000,
  viewReadMs: 600,
  viewWaitMs: 2_500,
  registryRetryMs: 60,
  handoffMs: 1_500,
  catchUpMs: 4_000,
  retakeFirstMs: 60,
  retakeMaxMs: 1_000,
  followMs: 150,
  tailRequestMs: 900,
  tailRetryMs: 150,
  drainMs: 5_000,
}

function checkpointLimits(rates: CheckpointRates): Partial<ClusterLimits> {
  return {
    checkpointSlots: rates.slots,
    checkpointLookMs: rates.lookMs,
    checkpointChunkBytesMax: rates.chunkBytesMax,
    journalRetentionMs: rates.retentionMs,
    journalSlotsMin: rates.slotsMin,
  }
}

export class ClusterLogic implements NodeLogic {
  readonly #node: SimNode
  readonly #cluster: ClusterNode

  constructor(node: SimNode, registry: SimRegistry, checkpoints: SimCheckpoints) {
    const { life, around, name } = node
    if (!life) throw new Error(`${name} has no life to live in`)
    const { parameters, parts, subjects, machines } = around
    const { process, clock, random, store, journal, transport, taskQueue, live } = life
    const { limits, shards: shardCount } = parameters
    this.#node = node
    this.#cluster = new parts.ClusterNode({
      ...{
        name,
        clock,
        random,
        store,
        journal,
        transport,
        taskQueue,
        subjects,
        limits,
        shardCount,
      },
      bootId: random.id(),
      weight: 1,
      zone: null,
      log: this.#log(life.log),
      registry: registry.connect(name, process),
      checkpoints: checkpoints.connect(name, process),
      machines: machines[node.version],
      clusterLimits: { ...LIMITS, ...checkpointLimits(parameters.checkpoints) },
      budget: new parts.ResidentBudget(limits.residentBytesMax),
      live,
      here: new ShardsHere(),
      announces: around.guest !== undefined,
      ownerSilenceMs: 5_000,
      stopped: ({ why, shard }) => node.failed(why, shard),
    })
  }

  start(): void {
    this.#cluster.start()
  }

  stop(): void {
    this.#cluster.stop()
  }

  serves(shard: number): boolean {
    const seat = this.#cluster.status().shards[shard]
    return seat?.role === 'owner' && seat.engine?.state === 'serving'
  }

  liveEvent(...event: Parameters<ClusterNode['liveEvent']>): void {
    this.#cluster.liveEvent(...event)
  }

  describe(): ClusterStatus {
    return this.#cluster.status()
  }

  leave(done: () => void): void {
    this.#cluster.leave(() => done())
  }

  order(order: Order, done: (isTaken: boolean) => void): void {
    this.#cluster.order(order, false, ({ kind }) => done(kind === 'taken'))
  }

  /** What it says of shards, in the words of the list of events. */
  #log(log: Log): Log {
    const { recorder } = this.#node.around
    const { name: node } = this.#node
    const own: Log = {
      ...log,
      info: (fields, message) => {
        const { epoch = 0 } = fields as Record<string, number>
        if (message === 'this node leads') recorder.add({ kind: 'leads', node, epoch })
      },
      debug: (fields, message) => {
        const { shard = 0, view = 0 } = fields as Record<string, number>
        if (message !== 'this node serves a shard') return
        recorder.add({ kind: 'taken', node, shard, slot: 0, view })
      },
      warn: (fields, message) => {
        const {
          shard = 0,
          slot = 0,
          why = '',
        } = fields as Record<string, number> & { why?: string }
        if (message === 'a checkpoint is loaded in place of what the store has') {
          recorder.add({ kind: 'checkpoint-loaded', node, shard, slot })
        }
        if (message !== 'this node has lost a shard') return
        recorder.add({ kind: 'stopped', node, shard, how: 'lost', why })
      },
      child: () => own,
    }
    return own
  }
}
