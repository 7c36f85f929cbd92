/**
 * A table of a million moves on one node: what a worker's acquire and `/leader/stats` take beside them. Decides: that
 * most of them have ended and many wait for a turn, as after a year and a lost rack; what belongs to an acquire: the
 * queue's durable turn, and reading the task that it names, as the route does it. The lanes are switched off
 * meanwhile: who prepares moves is not measured here.
 */
import { join } from 'node:path'
import { platform } from '../../machines/platform/index.ts'
import { openWorkerQueue, queueAddress } from '../../machines/storage/background/lanes/index.ts'
import { moveAddress, newMoveId } from '../../machines/storage/background/moves/index.ts'
import { storage } from '../../machines/storage/index.ts'
import { vuidOf } from '../../machines/storage/plane/codes/index.ts'
import { type Client, createGateway, createNode, openLog, systemClock } from '../../src/index.ts'
import { each, pause } from '../measure.ts'

const IN_FLIGHT = 512
const DISKS = 400
const VOLUMES = 100_000
/** Of ten moves. */
const WAITING = 2
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
  madePerSecond: number
  acquire: number[]
  /** By so many workers at a time. */
  acquireTogether: number[]
  stats: number[]
  /** The next of the lane, as it looks for them: as many as there are free places. */
  next: number[]
  workers: number
}

export async function storageTable({ data, tasks }: TableParams): Promise<TableTimes> {
  const dataDirectory = join(data, 'table')
  const log = openLog({ level: 'silent' })
  const node = await createNode({ dataDirectory, apps: [platform, storage], log })
  const gateway = await createGateway({ node, port: 0 })
  try {
    const { client } = node
    const began = performance.now()
    await each(tasks, IN_FLIGHT, (n) => makeTask(client, n))
    await counted(gateway.url, Math.ceil((tasks * WAITING) / 10))
    const madePerSecond = tasks / ((performance.now() - began) / 1_000)
    await offerSome(client)
    const acquire = await times(CALLS, () => acquireOnce(client, 'w'))
    const acquireTogether: number[] = []
    await each(CALLS, WORKERS, async (n) => {
      acquireTogether.push(await acquireOnce(client, `w${n % WORKERS}`))
    })
    const stats = await times(CALLS, () => timeOf(() => statsOnce(gateway.url)))
    const next = await times(CALLS / 10, () => timeOf(() => waitingOf(client, 20)))
    return { madePerSecond, acquire, acquireTogether, stats, next, workers: WORKERS }
  } finally {
    await gateway.close()
    await node.stop()
  }
}

async function makeTask(client: Client, n: number): Promise<void> {
  const diskId = 1 + (n % DISKS)
  const vid = 1 + (n % VOLUMES)
  const random = { fraction: Math.random, id: () => '' }
  const taskId = newMoveId('disk_drop', diskId, vid, { clock, random })
  const address = moveAddress(taskId)
  const sourceVuid = vuidOf({ vid, index: n % UNITS, epoch: 1 })
  await patiently(() =>
    client.start(address, {
      ...{ taskId, type: 'disk_drop', sourceVuid, sourceDiskId: diskId, sourceIdc: IDC },
      at: clock.now(),
    }),
  )
  if (n % 10 >= WAITING) await patiently(() => client.send(address, { type: 'CANCEL' }))
}

/** What a bulk load does where the node is busy. */
async function patiently(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await work()
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
  await client.send(queue, { type: 'SWITCH', name: 'disk_drop', isOn: true })
  for (const { address } of await waitingOf(client, OFFERS)) {
    const taskId = address.slice(moveAddress('').length)
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
