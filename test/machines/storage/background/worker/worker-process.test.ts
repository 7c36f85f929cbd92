/**
 * Workers in processes of blobnodes, with real disks: a chunk that is moved or made anew, and a worker that is
 * killed in the middle of it: another one takes the task up and ends it with what is there already.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { MoveTask } from '../../../../../machines/storage/background/worker/index.ts'
import { BlobnodeClient } from '../../../../../machines/storage/plane/blobnode/index.ts'
import { codeModeOf, vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'
import { scriptArguments } from '../../../../script.ts'
import { until } from '../../../../waiting.ts'
import { LeasingServer } from './leasing-server.ts'

const SCRIPT = join(import.meta.dirname, '../../plane/blobnode/blobnode-main.ts')
const PATIENCE = { timeoutMs: 120_000, every: 10 }
const LEASE_MS = 2_000
const VID = 4_294_967_295
const MODE = codeModeOf('EC3P3')
const BLOBS = 150
const BLOB_BYTES = 300_000
const CHUNK_BYTES = 2 ** 30
const UNITS = [0, 1, 2, 3, 4, 5]

let directory: string
let server: LeasingServer
let client: BlobnodeClient
let addresses: string[]
let children: ChildProcess[]
let right: Buffer[]

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-worker-'))
  server = await LeasingServer.open(LEASE_MS)
  client = new BlobnodeClient({ timeoutMs: 60_000 })
  children = []
  addresses = []
  // Disks 1 to 6 are of one that takes no tasks; the others have one disk each, and only work.
  addresses.push(await blobnode([1, 2, 3, 4, 5, 6, 7], '--move-slots', '0', '--inspect-slots', '0'))
  await fill()
})

afterEach(async () => {
  client.close()
  for (const child of children) await ended(child, 'SIGKILL')
  await server.close()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})

async function blobnode(disks: readonly number[], ...words: string[]): Promise<string> {
  const named = disks.flatMap((id) => ['--disk', `${id}=${join(directory, `disk${id}`)}`])
  const place = ['--listen', '127.0.0.1:0', '--nodes', server.url, '--idc', 'z1', '--rack', 'r1']
  const all = ['storage', 'blobnode', '--json', ...place, ...named, ...words]
  const child = spawn(process.execPath, [...scriptArguments(SCRIPT), ...all], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
  })
  children.push(child)
  let output = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  return until(
    () => /"address":"(http:[^"]+)"/.exec(output)?.[1],
    PATIENCE,
    () => output,
  )
}

function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<unknown> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve()
  const closed = new Promise((resolve) => child.once('close', resolve))
  child.kill(signal)
  return closed
}

const unitAt = (index: number, epoch = 1, disk = index + 1) => ({
  ...{ address: addresses[0]!, diskId: disk },
  vuid: vuidOf({ vid: VID, index, epoch }),
})

async function fill(): Promise<void> {
  const erasure = await Erasure.open({ threads: 1 })
  const stripe = erasure.stripe(MODE, BLOB_BYTES)
  stripe.data.set(randomBytes(BLOB_BYTES))
  await erasure.encode(stripe)
  right = UNITS.map((index) => Buffer.from(stripe.shard(index)))
  erasure.release(stripe)
  await erasure.close()
  for (const index of UNITS) {
    await client.createChunk(unitAt(index), CHUNK_BYTES)
    const bids = Array.from({ length: BLOBS }, (_, n) => BigInt(n + 1))
    await Promise.all(bids.map((bid) => client.putShard(unitAt(index), bid, right[index]!)))
    await client.setChunk(unitAt(index), 'readonly')
  }
}

function taskOf(type: 'balance' | 'disk_repair', epoch: number): MoveTask {
  const wire = ({ address, diskId, vuid }: ReturnType<typeof unitAt>) => ({
    ...{ vuid, host: address, disk_id: diskId },
  })
  return {
    ...{ task_id: `${type}-3-${VID}-${epoch}`, task_type: type, source_idc: 'z1' },
    ...{ source_disk_id: 3, source_vuid: unitAt(2).vuid, code_mode: MODE.id },
    ...{ sources: UNITS.map((index) => wire(unitAt(index))), forbidden_direct_download: false },
    destination: wire(unitAt(2, epoch, 7)),
  }
}

/** Two that wait for tasks. @returns the process of a worker, by its name */
async function twoWorkers(): Promise<(worker: string) => ChildProcess> {
  for (const disk of [8, 9]) {
    addresses.push(await blobnode([disk], '--move-slots', '1', '--inspect-slots', '0'))
  }
  return (worker) => {
    const child = children[addresses.indexOf(worker.replace(/#.*$/, ''))]
    if (child === undefined) throw new Error(`nobody is called ${worker}`)
    return child
  }
}

async function expectMoved(destination: ReturnType<typeof unitAt>): Promise<void> {
  expect((await client.statChunk(destination)).shards).toBe(BLOBS)
  for (const bid of [1n, 77n, BigInt(BLOBS)]) {
    expect(crc32(await client.getShard(destination, bid))).toBe(crc32(right[2]!))
  }
}

it.each([
  ['balance', 'SIGKILL'],
  ['disk_repair', 'SIGKILL'],
  ['disk_repair', 'SIGSTOP'],
] as const)(
  '%s goes on elsewhere within a lease and a second when its worker is sent %s',
  async (type, signal) => {
    const destination = unitAt(2, 2, 7)
    await client.createChunk(destination, CHUNK_BYTES)
    const childOf = await twoWorkers()
    let lost: ChildProcess | undefined
    server.onReport = (worker) => {
      lost ??= childOf(worker)
      if (lost === childOf(worker)) lost.kill(signal)
    }
    const offered = server.offer(taskOf(type, 2))
    const seen = () => JSON.stringify(offered.leases)
    await until(() => offered.end, PATIENCE, seen)
    expect(offered.end).toBe('/task/complete')
    const [first, second] = offered.leases
    expect(offered.leases).toHaveLength(2)
    expect(second!.worker).not.toBe(first!.worker)
    expect(second!.takenAt - first!.until).toBeLessThan(1_000)
    await expectMoved(destination)
    server.onReport = () => {}
    // Who was only asleep comes too late, and takes nothing away.
    lost?.kill('SIGCONT')
    if (signal === 'SIGSTOP') {
      await until(() => server.refused.length > 0, PATIENCE, 'the late worker to be refused')
    }
    await expectMoved(destination)
    expect(offered.leases).toHaveLength(2)
  },
  300_000,
)
