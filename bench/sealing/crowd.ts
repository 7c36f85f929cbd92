/**
 * Thousands of threads on one node, as the node of a cluster has them: of many workers, each with its pool,
 * all with half a sector behind them, and now they wait. Decides: how far they get, what they wait for, and
 * when memory is read. Their steps are done here by nobody: an answer per state.
 */
import { join } from 'node:path'
import { platform } from '../../machines/platform/index.ts'
import { bringPool, placingOf } from '../../machines/sealing/daemon/worker-pool.ts'
import { sealingWith } from '../../machines/sealing/index.ts'
import {
  type GateNames,
  gateNames,
  processorConfig,
} from '../../machines/sealing/processors/index.ts'
import {
  queueOfWorker,
  registerRunner,
  rowOf,
  type SectorRecord,
  type StepInput,
  type StepOutcome,
  sealingThread,
  stepError,
  type ThreadInput,
  threadIdOf,
} from '../../machines/sealing/thread/index.ts'
import { sealProofOfSize } from '../../machines/sealing/venus/index.ts'
import { createNode, defineApp, keepHeapSmall, openLog, type TroupeNode } from '../../src/index.ts'
import { each, memoryMb, pause } from '../measure.ts'
import { STAGES } from './worker-rig.ts'

const THREADS_OF_WORKER = 100
const SLOTS = 128
const IN_FLIGHT = 256
/** A look at thousands of rows costs as much as many steps. */
const POLL_MS = 3_000
const POLLS_MAX = 400
/** Garbage of the load has had the time to go, if it goes without being pushed. */
const QUIET_MS = 5_000
const HOUR_MS = 3_600_000
/** Tries that fail before the ticket comes, where the seed is waited for: as long a history as the others. */
const FAILED_TRIES = 4
const PAGE_COUNT = 1_000

export interface CrowdParams {
  data: string
  threads: number
  /** As the setting of a node of that name. */
  heap: 'fast' | 'small'
}

export interface Memory {
  rssMb: number
  rssAnonMb: number
}

export interface Crowd {
  /** When all had come to rest, and after a while of silence. */
  loaded: Memory
  quiet: Memory
  /** The most that it ever was. */
  peakRssMb: number
  elapsedMs: number
  steps: number
  cpuUs: number
  contextBytes: number
  entries: number
  /** How many are in each condition. */
  conditions: Record<string, number>
}

/** A node without a thread. */
export async function sealingNobody({ data, heap }: CrowdParams): Promise<Memory> {
  const node = await openCrowd(join(data, 'nobody'), [], heap)
  await pause(QUIET_MS / 5)
  const memory = memoryNow()
  await node.stop()
  return memory
}

export async function sealingCrowd({ data, threads, heap }: CrowdParams): Promise<Crowd> {
  const workers = workersOf(threads)
  let steps = 0
  for (const worker of workers) {
    registerRunner(worker, async (input) => {
      steps += 1
      return stepOf(input)
    })
  }
  const node = await openCrowd(join(data, 'node'), workers, heap)
  const names = poolNames()
  for (const worker of workers) await bringPool(node.client, worker, names, node.log)
  const cpu = process.cpuUsage()
  const startedAt = performance.now()
  await each(threads, IN_FLIGHT, (n) => {
    const input = inputOf(n, workers, names)
    return node.client.start(`${sealingThread.name}/${input.thread}`, input)
  })
  const conditions = await atRest(node)
  const elapsedMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(cpu)
  const loaded = memoryNow()
  await pause(QUIET_MS)
  const quiet = memoryNow()
  const view = await node.client.get(`${sealingThread.name}/${inputOf(0, workers, names).thread}`)
  const { history } = view.context as { history: unknown[] }
  const crowd: Crowd = {
    ...{ loaded, quiet, peakRssMb: memoryMb('VmHWM'), elapsedMs, steps, cpuUs: user + system },
    contextBytes: JSON.stringify(view.context).length,
    entries: history.length,
    conditions,
  }
  await node.stop()
  return crowd
}

/** The same node after a restart, when each of them has been looked at once. */
export async function sealingCrowdOpened({ data, threads, heap }: CrowdParams): Promise<Memory> {
  const workers = workersOf(threads)
  const node = await openCrowd(join(data, 'node'), workers, heap)
  const names = poolNames()
  await each(threads, IN_FLIGHT, (n) =>
    node.client.get(`${sealingThread.name}/${inputOf(n, workers, names).thread}`),
  )
  await pause(QUIET_MS / 5)
  const memory = memoryNow()
  await node.stop()
  return memory
}

function openCrowd(
  directory: string,
  workers: readonly string[],
  heap: CrowdParams['heap'],
): Promise<TroupeNode> {
  if (heap === 'small') keepHeapSmall()
  const queues = defineApp({ name: 'bench-queues', workerQueues: () => workers.map(queueOfWorker) })
  return createNode({
    dataDirectory: directory,
    apps: [platform, sealingWith([platform]), queues],
    log: openLog({ level: 'silent' }),
    worker: { slots: SLOTS },
  })
}

function memoryNow(): Memory {
  return { rssMb: memoryMb('VmRSS'), rssAnonMb: memoryMb('RssAnon') }
}

function workersOf(threads: number): string[] {
  const count = Math.ceil(threads / THREADS_OF_WORKER)
  return Array.from({ length: count }, (_, n) => `worker-${n}`)
}

/** Two children for each stage. */
function poolNames(): GateNames {
  const child = processorConfig.parse({ bin: '/usr/bin/processor', concurrent: THREADS_OF_WORKER })
  const children = Object.fromEntries(STAGES.map((stage) => [stage, [child, child]]))
  return gateNames(children, { concurrent: {}, staggered: {}, extLocks: {} })
}

function inputOf(n: number, workers: readonly string[], names: GateNames): ThreadInput {
  const worker = workers[n % workers.length]!
  const index = Math.floor(n / workers.length)
  const store = `store-${index}`
  return {
    ...{ worker, thread: threadIdOf(worker, store), location: `/mnt/nvme/${worker}/${store}` },
    ...{ index, ...placingOf(worker, names) },
    ...{ plan: 'sealer', takesNew: true },
    settings: {
      allowedMiners: [1_000],
      allowedSizes: ['32GiB'],
      enableDeals: true,
      disableCc: false,
      maxDeals: null,
      minDealSpace: null,
      maxRetries: 5,
      sealIntervalMs: 30_000,
      recoverIntervalMs: fateOf(index) === 'seed' ? 1 : HOUR_MS,
      rpcPollingIntervalMs: 180_000,
      requestTaskMaxRetries: 3,
      ignoreProofCheck: false,
      verifyAfterPc2: false,
    },
  }
}

const FATES = ['chain', 'seed', 'parked', 'retrying'] as const
type Fate = (typeof FATES)[number]

/** Of the thread of that number of any worker. */
function fateOf(index: number): Fate {
  return FATES[index % FATES.length]!
}

const BYTES_32 = Buffer.alloc(32, 7).toString('base64')
const NODE_HEX = '07'.repeat(32)
const HELD = { file: 'outputs/out-0123456789abcdef.json', sha256: NODE_HEX, bytes: 1_234_567 }
const DEAL = { ID: 7, Piece: { Size: 34_359_738_368, Cid: NODE_HEX } }

/** What a step of each state ends with, and writes. */
const ENDS: Readonly<Partial<Record<string, [event: string, record: SectorRecord]>>> = {
  Allocated: ['AcquireDeals', { deals: [DEAL, { ...DEAL, ID: 8 }] }],
  DealsAcquired: ['AddPiece', { pieces: [{ commitment: NODE_HEX, size: 34_359_738_368 }] }],
  PieceAdded: ['BuildTreeD', {}],
  TreeDBuilt: ['AssignTicket', {}],
  TicketAssigned: ['PC1', { ticket: { Ticket: BYTES_32, Epoch: 100 }, pc1out: HELD }],
  PC1Done: ['PC2', { pc2out: { commR: NODE_HEX, commD: NODE_HEX } }],
  PC2Done: ['SubmitPC', {}],
  PCSubmitted: ['CheckPC', {}],
  PCLanded: ['Persist', { persistedIn: 'long' }],
  Persisted: ['SubmitPersistance', {}],
  PersistanceSubmitted: ['AssignSeed', { seed: { Seed: BYTES_32, Epoch: 260 } }],
  SeedAssigned: ['C1', { c1out: HELD }],
  C1Done: ['C2', { c2out: { inline: Buffer.alloc(1_920, 7).toString('base64') } }],
  C2Done: ['SubmitProof', {}],
}

function stepOf({ worker, thread, state, retries }: StepInput): StepOutcome {
  const index = Number(/\d+$/.exec(thread)?.[0])
  const fate = fateOf(index)
  if (state === 'Empty') {
    const number = Number(/\d+$/.exec(worker)?.[0]) * THREADS_OF_WORKER + index
    const sector = {
      ID: { Miner: 1_000, Number: number },
      ProofType: sealProofOfSize('32GiB').number,
    }
    return { kind: 'done', event: 'Allocate', record: { sector }, workMs: 1 }
  }
  if (fate === 'seed' && state === 'TicketAssigned' && retries < FAILED_TRIES) {
    throw stepError('temporary', 'pc1: the child was killed by SIGKILL: no memory was left')
  }
  const [event, record] = ENDS[state] ?? []
  if (fate === 'seed' && state === 'PersistanceSubmitted') {
    return { kind: 'rest', reason: 'seed', afterMs: HOUR_MS, why: 'the seed comes at height 260' }
  }
  if (event !== undefined && record !== undefined) {
    return { kind: 'done', event, record, workMs: 1 }
  }
  if (fate === 'chain') {
    return { kind: 'rest', reason: 'chain', afterMs: HOUR_MS, why: 'Pending: it is in a batch' }
  }
  throw stepError(
    fate === 'parked' ? 'permanent' : 'temporary',
    'the message is NotFound on the chain: the node that it was sent to has no such message',
  )
}

/** How many are in each condition once none has anything left to do. */
async function atRest(node: TroupeNode): Promise<Record<string, number>> {
  for (let poll = 0; poll < POLLS_MAX; poll++) {
    const conditions: Record<string, number> = {}
    let busy = 0
    const query = { filter: { machine: sealingThread.name }, limit: PAGE_COUNT }
    for await (const row of node.client.rows(query)) {
      const { condition, state } = rowOf(row)
      conditions[condition] = (conditions[condition] ?? 0) + 1
      const isOver = condition === 'parked' || condition === 'resting'
      // Those that fail in PC1 try again at once.
      if (!isOver && !(condition === 'retrying' && state === 'ProofSubmitted')) busy += 1
    }
    if (busy === 0) return conditions
    await pause(POLL_MS)
  }
  throw new Error('not all threads came to rest')
}
