/**
 * What one seed makes of a world: sizes, limits and how often each thing goes wrong.
 *
 * Decides: the rates; a seed has each family of faults or not, so that some are seen alone. Leaves to
 * others: doing what is drawn (faults.ts and the simulated ports).
 */
import { type Limits, resolveLimits } from '../../src/protocol/index.ts'
import type { SimRandom } from './random.ts'
import type { CheckpointRates } from './sim-checkpoints.ts'
import type { JournalRates } from './sim-journal.ts'
import type { RegistryRates } from './sim-registry.ts'
import type { DiskRates } from './sim-store.ts'
import type { QueueRates } from './sim-tasks.ts'
import type { NetworkRates } from './sim-transport.ts'

/** Mean milliseconds between two of a kind; 0 for never. */
export interface Troubles {
  crashMs: number
  freezeMs: number
  partitionMs: number
  jumpMs: number
  lineMs: number
  journalRestartMs: number
  journalLossMs: number
  workerMs: number
  upgradeMs: number
  wipeMs: number
  connectionMs: number
  orderMs: number
}

/** Whose data a cluster begins with, where it begins with any. */
export const FOUNDER = 'n1'

/** The first node of a cluster that begins with what that one had alone. */
export interface FoundingRates {
  /** It is alone for so long. */
  aloneMs: number
  /** While it may, it is started alone once more. */
  againAloneChance: number
  /** It ends between two steps of bringing in what it has. */
  crashChance: number
  /** Where its first tries end, one after the other, whatever the chance. */
  ends: readonly FoundingEnd[]
}

/** Steps that the process has made by then; with its power goes what is not flushed. */
export interface FoundingEnd {
  afterSteps: number
  how: 'kill' | 'power'
}

export interface Parameters {
  nodes: number
  shards: number
  /**
   * Who names owners: the stand-in, which is quick and fickle, or the cluster's own logic. Or nobody:
   * `embedded` nodes have no journal, and the newest on their one directory owns everything. Of `founding`
   * nodes the first is such a one at first, and then brings what it has into a cluster of all.
   */
  logic: 'oracle' | 'cluster' | 'embedded' | 'founding'
  founding: FoundingRates
  clients: number
  /** Callers beside them that only read: whom a deposed owner could tell what is no longer true. */
  readers: number
  /** Who asks for what is beside the mix (side-work.ts). */
  sideCallers: number
  /** Callers that ask for lists and counts. */
  askers: number
  workers: number
  actors: number
  /** Machines whose charts are drawn, beside those that every world has. */
  charts: number
  /** Mean milliseconds between two commands of one client. */
  thinkMs: number
  /** Of their commands, how many clients rest after: for half of their time in all, whatever it is; 0 for never. */
  restChance: number
  skewMs: number
  drift: number
  /** The oracle names somebody else now and then, for no reason. */
  fickleMs: number
  network: NetworkRates
  disk: DiskRates
  journal: JournalRates
  queue: QueueRates
  registry: RegistryRates
  checkpoints: CheckpointRates
  troubles: Troubles
  limits: Limits
}

/** What is asked for instead of drawn. */
export interface Given {
  nodes?: number
  logic?: Parameters['logic']
  /** Whether there are drawn charts. */
  charts?: boolean
  /** Nobody rests, and all think half as long. */
  busy?: boolean
  /** The journal loses what it had not synced, every few seconds. */
  losses?: boolean
}

export function drawParameters(random: SimRandom, given: Given): Parameters {
  const drawn = draw(random, given)
  // A disk that is gone and a journal that lost its end are more than anybody is promised.
  if (drawn.logic === 'founding') found(drawn, random.fork('founding'))
  const isCluster = drawn.logic === 'cluster' || drawn.logic === 'founding'
  if (isCluster && drawn.troubles.journalLossMs === 0) {
    const wipes = random.fork('wipes')
    drawn.troubles.wipeMs = wipes.chance(0.5) ? wipes.between(8_000, 20_000) : 0
  }
  if (isCluster) {
    const connections = random.fork('connections')
    drawn.troubles.connectionMs = connections.chance(0.5) ? connections.between(2_000, 12_000) : 0
    const orders = random.fork('orders')
    drawn.troubles.orderMs = orders.chance(0.4) ? orders.between(1_000, 8_000) : 0
  }
  if (given.losses) {
    drawn.troubles.wipeMs = 0
    drawn.troubles.journalLossMs = 9_000
    drawn.troubles.crashMs ||= 8_000
    drawn.journal.staleChance = 0
  }
  if (drawn.logic === 'embedded') embed(drawn)
  return drawn
}

/** What NATS has not synced of data that were brought in goes with its machine: nobody promises more. */
function found({ founding, troubles }: Parameters, random: SimRandom): void {
  troubles.journalLossMs = 0
  founding.aloneMs = random.between(1_000, 8_000)
  founding.againAloneChance = random.pick([0, 0.4])
  founding.crashChance = random.pick([0.3, 0.9])
}

/** One data directory: what befalls a journal, its lines and disks of other nodes cannot happen. */
export function embed(parameters: Parameters): void {
  const { checkpoints, disk, troubles } = parameters
  parameters.logic = 'embedded'
  parameters.nodes = Math.min(2, parameters.nodes)
  parameters.fickleMs = 0
  checkpoints.slots = NO_CHECKPOINTS
  // A broken environment would have to break in both processes at once.
  if (parameters.nodes > 1) disk.brokenChance = 0
  const none = { lineMs: 0, journalRestartMs: 0, journalLossMs: 0, wipeMs: 0 }
  Object.assign(troubles, none)
}

function draw(random: SimRandom, given: Given): Parameters {
  const has = (share: number) => random.chance(share)
  const mean = (share: number, from: number, to: number) =>
    has(share) ? random.between(from, to) : 0
  const nodes = random.pick([2, 3, 3, 5])
  const logic = random.fork('logic').chance(0.5) ? 'cluster' : 'oracle'
  return {
    nodes: given.nodes ?? (given.logic === 'embedded' ? random.fork('one').pick([1, 2]) : nodes),
    shards: random.pick([1, 2, 4, 8]),
    logic: given.logic ?? logic,
    founding: { aloneMs: 0, againAloneChance: 0, crashChance: 0, ends: [] },
    clients: random.between(1, 3),
    readers: random.fork('readers').chance(0.25) ? 1 : 0,
    sideCallers: random.fork('side').chance(0.4) && !given.busy ? 1 : 0,
    askers: random.fork('askers').chance(0.3) && !given.busy ? 1 : 0,
    workers: random.between(1, 3),
    actors: random.between(3, 16),
    charts: drawChartCount(random.fork('charts'), given.charts),
    thinkMs: random.pick([100, 200, 400]) * (given.busy ? 1 : 2),
    // An idle shard has a life of its own.
    restChance: given.busy ? 0 : 0.05,
    skewMs: has(0.5) ? random.between(10, 4_000) : 0,
    drift: has(0.5) ? random.pick([0.0002, 0.01]) : 0,
    fickleMs: mean(0.5, 2_000, 15_000),
    network: drawNetwork(random),
    disk: drawDisk(random),
    journal: drawJournal(random),
    queue: {
      lostChance: has(0.3) ? 0.1 : 0,
      unknownChance: has(0.3) ? 0.1 : 0,
      latencyMs: 3,
      ackWaitMs: random.pick([600, 3_000, 30_000]),
    },
    registry: drawRegistry(random.fork('registry')),
    checkpoints: drawCheckpoints(random.fork('checkpoints')),
    troubles: {
      crashMs: mean(0.7, 3_000, 20_000),
      freezeMs: mean(0.5, 3_000, 20_000),
      partitionMs: mean(0.5, 4_000, 20_000),
      jumpMs: mean(0.3, 5_000, 20_000),
      lineMs: mean(0.5, 3_000, 15_000),
      journalRestartMs: mean(0.4, 10_000, 30_000),
      journalLossMs: mean(0.25, 10_000, 30_000),
      workerMs: mean(0.6, 2_000, 10_000),
      upgradeMs: mean(0.4, 15_000, 40_000),
      wipeMs: 0,
      connectionMs: 0,
      orderMs: 0,
    },
    limits: drawLimits(random),
  }
}

function drawChartCount(random: SimRandom, given: boolean | undefined): number {
  const drawn = random.chance(0.4)
  const count = random.between(1, 3)
  return (given ?? drawn) ? count : 0
}

function drawNetwork(random: SimRandom): NetworkRates {
  const has = random.chance(0.6)
  return {
    latencyMs: random.pick([1, 3, 10]),
    slowChance: has ? 0.02 : 0,
    slowMs: random.pick([50, 400]),
    lossChance: has ? 0.01 : 0,
    replyLossChance: has ? 0.02 : 0,
    duplicateChance: random.chance(0.4) ? 0.01 : 0,
  }
}

function drawDisk(random: SimRandom): DiskRates {
  const fails = random.chance(0.25)
  return {
    flushMs: random.pick([1, 2, 8]),
    slowChance: random.chance(0.4) ? 0.01 : 0,
    slowMs: random.pick([30, 300]),
    fullChance: fails ? 0.0005 : 0,
    brokenChance: fails ? 0.0005 : 0,
  }
}

function drawJournal(random: SimRandom): JournalRates {
  const has = random.chance(0.7)
  return {
    latencyMs: random.pick([1, 3, 8]),
    ackLostChance: has ? 0.01 : 0,
    writeLostChance: has ? 0.01 : 0,
    landsLateChance: has ? 0.01 : 0,
    landsLateMs: random.pick([20, 500, 5_000]),
    readLostChance: has ? 0.01 : 0,
    refusedChance: has ? 0.01 : 0,
    staleChance: random.fork('stale').chance(0.2) ? 0.02 : 0,
    timeoutMs: 2_000,
  }
}

function drawRegistry(random: SimRandom): RegistryRates {
  const has = random.chance(0.6)
  return {
    latencyMs: random.pick([1, 4, 20]),
    unknownChance: has ? 0.05 : 0,
    staleChance: has ? 0.05 : 0,
    watchGapChance: random.pick([0, 0.3, 1]),
  }
}

/** More slots than a world comes to. */
export const NO_CHECKPOINTS = 1_000_000

/** Small in most worlds: slots are removed while something happens. */
function drawCheckpoints(random: SimRandom): CheckpointRates {
  const has = random.chance(0.6)
  return {
    slots: random.pick([5, 15, NO_CHECKPOINTS]),
    lookMs: random.pick([300, 900]),
    chunkBytesMax: random.pick([600, 20_000]),
    retentionMs: random.pick([4_000, 9_000]),
    slotsMin: random.pick([2, 20]),
    latencyMs: random.pick([2, 30]),
    unknownChance: has ? 0.05 : 0,
    staleChance: has ? 0.05 : 0,
    damagedChance: has ? 0.1 : 0,
  }
}

function drawLimits(random: SimRandom): Limits {
  return resolveLimits({
    mailboxCountMax: random.pick([512, 8_192]),
    batchCountMax: random.pick([3, 64, 512]),
    stepsPerBatchMax: random.pick([4, 4_096]),
    residentBytesMax: random.pick([20_000, 256 * 1024 * 1024]),
    keptEventsMax: random.pick([8, 10_000]),
    dedupeWindowMs: 90_000,
    clockSkewMaxMs: 20_000,
    timerHorizonMs: random.pick([4_000, 60_000]),
    timerLoadCountMax: random.pick([3, 50_000]),
    channelWindowMax: random.pick([2, 256]),
    channelResendMs: 300,
    leaseMs: 1_500,
    taskRepublishMs: 2_000,
    requestTimeoutMs: 1_500,
  })
}

/** The same world with nothing going wrong any more. */
export function calm(parameters: Parameters): void {
  const { network, disk, journal, queue, registry, checkpoints, troubles, founding } = parameters
  Object.assign(network, { slowChance: 0, lossChance: 0, replyLossChance: 0, duplicateChance: 0 })
  Object.assign(disk, { slowChance: 0, fullChance: 0, brokenChance: 0 })
  const chances = ['ackLost', 'writeLost', 'landsLate', 'readLost', 'refused', 'stale']
  for (const name of chances) Object.assign(journal, { [`${name}Chance`]: 0 })
  Object.assign(registry, { unknownChance: 0, staleChance: 0 })
  Object.assign(checkpoints, { unknownChance: 0, staleChance: 0, damagedChance: 0 })
  Object.assign(queue, { lostChance: 0, unknownChance: 0 })
  for (const name of Object.keys(troubles)) Object.assign(troubles, { [name]: 0 })
  Object.assign(founding, { againAloneChance: 0, crashChance: 0, ends: [] })
  parameters.fickleMs = 0
}
