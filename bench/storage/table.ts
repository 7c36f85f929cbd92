/**
 * A table of a million moves on one node: what a worker's acquire and `/leader/stats` take beside them. Decides: that
 * nearly all of them wait for a turn, so that all stand in the order of the lane, and the rest has ended, as after a
 * lost rack; what belongs to an acquire: the queue's durable turn, and reading the task that it names, as the route
 * does it. The lanes are switched off meanwhile: who prepares moves is not measured here, so those that are offered
 * are set where they wait for a worker, and take their leases as moves do. Made in one process and asked in another:
 * nothing is at hand because it was just made.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { platform } from '../../machines/platform/index.ts'
import {
  openWorkerQueue,
  type QueueRecord,
  queueAddress,
} from '../../machines/storage/background/lanes/index.ts'
import { moveAddress, newMoveId } from '../../machines/storage/background/moves/index.ts'
import { storage } from '../../machines/storage/index.ts'
import { codeModeOf, vuidOf } from '../../machines/storage/plane/codes/index.ts'
import { volumeAddress } from '../../machines/storage/plane/volumes/index.ts'
import {
  type Client,
  createGateway,
  createNode,
  formatCommandId,
  openLog,
  parseAddress,
  systemClock,
} from '../../src/index.ts'
import { each, memoryMb, pause } from '../measure.ts'

const IN_FLIGHT = 1_024
/** Two digits each: as long as the ids that the client library makes. */
const UNIQUE_BYTES = 11
const DISKS = 400
const VOLUMES = 100_000
/** Of ten moves one has ended. */
const OF_TEN_WAIT = 9
/** They are told of moves that end; without disks they are never made whole, which they try twice a minute. */
const VOLUMES_THERE = 10
const MODE = 'EC10P4'
const IDC = 'z1'
const OFFERS = 80
const CALLS = 1_000
const WORKERS = 20
const LEASE_MS = 10_000
const UNITS = 14
const COUNTED_MS_MAX = 600_000
const clock = systemClock()

export interface TableParams {
  data: string
  tasks: number
}

/** Times in ms. */
export interface TableTimes {
  acquire: number[]
  /** By so many workers at a time. */
  acquireTogether: number[]
  stats: number[]
  /** The next of the lane, as it looks for them: as many as there are free places. */
  next: number[]
  workers: number
  /** Of the node, gateway included: `rssAnonMb` is its own, the rest are pages of its store. */
  rssMb: number
  rssAnonMb: number
}

/** @returns so many a second */
export async function storageTableMade({ data, tasks }: TableParams): Promise<number> {
  return withTable(data, async (client, url) => {
    for (let vid = 1; vid <= VOLUMES_THERE; vid += 1) await makeVolume(client, vid)
    const began = performance.now()
    await each(tasks, IN_FLIGHT, (n) => makeTask(client, n, tasks))
    await counted(url, Math.ceil((tasks * OF_TEN_WAIT) / 10))
    return tasks / ((performance.now() - began) / 1_000)
  })
}

export async function storageTableAsked({ data }: TableParams): Promise<TableTimes> {
  return withTable(data, async (client, url) => {
    await offerSome(client)
    const acquire = await times(CALLS, () => acquireOnce(client, 'w'))
    const acquireTogether: number[] = []
    await each(CALLS, WORKERS, async (n) => {
      acquireTogether.push(await acquireOnce(client, `w${n % WORKERS}`))
    })
    const stats = await times(CALLS, () => timeOf(() => statsOnce(url)))
    const next = await times(CALLS / 10, () => timeOf(() => waitingOf(client, 20)))
    const memory = { rssMb: memoryMb('VmRSS'), rssAnonMb: memoryMb('RssAnon') }
    return { acquire, acquireTogether, stats, next, workers: WORKERS, ...memory }
  })
}

async function withTable<T>(
  data: string,
  work: (client: Client, url: string) => Promise<T>,
): Promise<T> {
  const dataDirectory = join(data, 'table')
  const log = openLog({ level: 'silent' })
  const node = await createNode({ dataDirectory, apps: [platform, storage], log })
  const gateway = await createGateway({ node, port: 0 })
  try {
    return await work(node.client, gateway.url)
  } finally {
    await gateway.close()
    await node.stop()
  }
}

async function makeVolume(client: Client, vid: number): Promise<void> {
  const kept = { retiredKeptMs: 3_600_000, readyKeptMs: 3_600_000 }
  const facts = { vid, mode: codeModeOf(MODE).id, chunkBytesMax: 16 * 1024 ** 3, ...kept }
  await client.ensure(volumeAddress(vid), { ...facts, at: clock.now() })
}

/** Disk after disk, and their volumes in order, as they come when a rack is lost. */
async function makeTask(client: Client, n: number, tasks: number): Promise<void> {
  const diskId = 1 + Math.floor((n * DISKS) / tasks)
  const hasEnded = n % 10 >= OF_TEN_WAIT
  const vid = 1 + (hasEnded ? Math.floor(n / 10) % VOLUMES_THERE : n % VOLUMES)
  const random = { fraction: Math.random, id: () => '' }
  const taskId = newMoveId('disk_drop', diskId, vid, { clock, random })
  const address = moveAddress(taskId)
  const sourceVuid = vuidOf({ vid, index: n % UNITS, epoch: 1 })
  const input = {
    ...{ taskId, type: 'disk_drop', sourceVuid, sourceDiskId: diskId, sourceIdc: IDC },
    at: clock.now(),
  }
  await patiently((id) => client.start(address, input, { id }))
  if (hasEnded) {
    await patiently((id) => client.send(address, { type: 'CANCEL' }, { id }))
  }
}

/** What a bulk load does where the node is busy. Under one id: what is done already is not done again. */
async function patiently(work: (id: string) => Promise<unknown>): Promise<void> {
  const id = formatCommandId(clock.now(), randomBytes(UNIQUE_BYTES).toString('hex'))
  for (;;) {
    try {
      await work(id)
      return
    } catch (thrown) {
      if ((thrown as { retry?: unknown }).retry !== true) throw thrown
      await pause(20)
    }
  }
}

/** The lane has been told of all of them. */
async function counted(url: string, waiting: number): Promise<void> {
  const end = performance.now() + COUNTED_MS_MAX
  for (;;) {
    const { disk_drop } = (await (await fetch(`${url}/leader/stats`)).json()) as {
      disk_drop: { preparing_cnt: number }
    }
    if (disk_drop.preparing_cnt === waiting) return
    if (performance.now() > end) throw new Error(`the lane counts ${disk_drop.preparing_cnt}`)
    await pause(200)
  }
}

async function offerSome(client: Client): Promise<void> {
  await openWorkerQueue(client, IDC)
  const queue = queueAddress(IDC)
  const place = (index: number) => ({
    ...{ vuid: vuidOf({ vid: 7, index, epoch: 1 }), host: 'http://127.0.0.1:8889' },
    disk_id: index + 1,
  })
  const task = { sources: Array.from({ length: UNITS }, (_, n) => place(n)), destination: place(0) }
  // What the switches say of it, which is that it is closed, must not come behind this.
  await client.waitFor(queue, ({ context }) => 'disk_drop' in (context as QueueRecord).isOn)
  await client.send(queue, { type: 'SWITCH', name: 'disk_drop', isOn: true })
  for (const { address } of await waitingOf(client, OFFERS)) {
    const { id: taskId } = parseAddress(address)
    await client.patch(address, { state: 2, isWaiting: false })
    await client.resume(address, { state: 'prepared.queued' })
    await client.send(queue, { type: 'OFFER', taskId, at: clock.now(), task })
  }
}

async function waitingOf(client: Client, limit: number) {
  const filter = { machine: 'migrate-task', condition: 'active' } as const
  return (await client.list({ filter, sort: { by: 'turn_disk_drop' }, limit })).rows
}

/** @returns ms; what it got it gives back */
async function acquireOnce(client: Client, worker: string): Promise<number> {
  const queue = queueAddress(IDC)
  const at = clock.now()
  const began = performance.now()
  const got = (await client.ask(queue, { type: 'ACQUIRE', worker, leaseMs: LEASE_MS, at })) as {
    taskId: string
    token: number
  }
  await client.get(moveAddress(got.taskId))
  const ms = performance.now() - began
  const { taskId, token } = got
  await client.ask(queue, { type: 'GIVE_BACK', worker, taskId, token, reason: 'measured', at })
  return ms
}

async function statsOnce(url: string): Promise<void> {
  const answer = await fetch(`${url}/leader/stats`)
  if (!answer.ok) throw new Error(`stats: ${answer.status}`)
  await answer.arrayBuffer()
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work()
  return performance.now() - began
}

async function times(count: number, once: () => Promise<number>): Promise<number[]> {
  const all: number[] = []
  for (let n = 0; n < count; n += 1) all.push(await once())
  return all
}
