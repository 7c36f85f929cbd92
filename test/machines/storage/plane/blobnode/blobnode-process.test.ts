/**
 * `troupe storage blobnode` as a process of its own, with real disks: killed while it writes, started again,
 * stopped by a signal; what becomes of a disk that is taken away under it, and of bytes that changed.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  BlobnodeClient,
  type UnitPlace,
} from '../../../../../machines/storage/plane/blobnode/index.ts'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { scriptArguments } from '../../../../script.ts'
import { until } from '../../../../waiting.ts'
import { FakeNode } from './fake-node.ts'

const SCRIPT = join(import.meta.dirname, 'blobnode-main.ts')
const PATIENCE = { timeoutMs: 120_000, every: 20 }
const VUID = vuidOf({ vid: 4_294_967_295, index: 1, epoch: 1 })
const MIB = 1_048_576

let directory: string
let node: FakeNode
let client: BlobnodeClient
const children: Child[] = []

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-blobnode-'))
  node = await FakeNode.start()
  client = new BlobnodeClient({ timeoutMs: 60_000 })
})

afterEach(async () => {
  client.close()
  for (const child of children.splice(0)) await child.ended('SIGKILL')
  await node.stop()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})

/** One blobnode, from its start to its end. */
class Child {
  address = ''
  output = ''
  readonly #process: ChildProcess

  constructor(words: readonly string[]) {
    const all = ['storage', 'blobnode', '--json', '--idc', 'z1', '--rack', 'r1', ...words]
    this.#process = spawn(process.execPath, [...scriptArguments(SCRIPT), ...all], {
      stdio: ['ignore', 'pipe', 'pipe'],
      // One thread per call of these tests.
      env: { ...process.env, UV_THREADPOOL_SIZE: '16' },
    })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    }
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  async serves(): Promise<this> {
    const place = () => /"address":"(http:[^"]+)"/.exec(this.output)?.[1]
    this.address = await until(place, PATIENCE, () => this.output)
    return this
  }

  ended(signal?: NodeJS.Signals): Promise<number | string | null> {
    const child = this.#process
    const closed = new Promise<number | string | null>((resolve) => {
      const isOver = child.exitCode !== null || child.signalCode !== null
      if (isOver) resolve(child.exitCode ?? child.signalCode)
      child.once('close', (code, killed) => resolve(code ?? killed))
    })
    if (signal !== undefined) child.kill(signal)
    return closed
  }
}

function begin(disks: readonly number[], ...words: string[]): Promise<Child> {
  const named = disks.flatMap((id) => ['--disk', `${id}=${pathOf(id)}`])
  const place = ['--listen', '127.0.0.1:0', '--nodes', node.url, '--host', 'b1']
  const child = new Child([...named, ...place, ...words])
  children.push(child)
  return child.serves()
}

const pathOf = (id: number) => join(directory, `disk${id}`)
const unit = ({ address }: Child, diskId = 1): UnitPlace => ({ address, diskId, vuid: VUID })

/** Its bytes follow from its number. */
function bytesOf(bid: bigint): Buffer {
  return Buffer.alloc(1 + (Number(bid * 7_919n) % 300_000), `shard ${bid} `)
}

it('has all that it acknowledged after a kill in the middle of writing, wherever it listens then', async () => {
  let child = await begin([1])
  await client.createChunk(unit(child), 1024 * MIB)
  const kept = new Set<bigint>()
  let next = 1n
  for (let life = 0; life < 2; life++) {
    const at = unit(child)
    const isEnough = kept.size + 20
    const writers = Array.from({ length: 8 }, async () => {
      for (;;) {
        const bid = next++
        try {
          const { crc } = await client.putShard(at, bid, bytesOf(bid))
          expect(crc).toBe(crc32(bytesOf(bid)))
          kept.add(bid)
        } catch (thrown) {
          expect(thrown).toMatchObject({ code: 'unavailable' })
          return
        }
      }
    })
    await until(
      () => kept.size > isEnough,
      PATIENCE,
      () => `${kept.size} shards`,
    )
    expect(await child.ended('SIGKILL')).toBe('SIGKILL')
    await Promise.all(writers)
    child = await begin([1])
    expect(child.address).not.toBe(at.address)
    for (const bid of kept) {
      const bytes = await client.getShard(unit(child), bid)
      expect([bid, bytes.equals(bytesOf(bid))]).toEqual([bid, true])
    }
  }
  expect(node.registered.map(({ disk_id }) => disk_id)).toEqual([1, 1, 1])
  expect(node.registered.at(-1)?.address).toBe(child.address)
})

it('finishes what runs when it is told to end, and ends with 0', async () => {
  const child = await begin([1])
  const at = unit(child)
  await client.createChunk(at, 1024 * MIB)
  const putting = Array.from({ length: 40 }, (_, bid) =>
    client.putShard(at, BigInt(bid + 1), Buffer.alloc(MIB, bid)).then(
      () => BigInt(bid + 1),
      () => undefined,
    ),
  )
  const first = await Promise.race(putting)
  expect(first).toBeDefined()
  expect(await child.ended('SIGTERM')).toBe(0)
  const kept = (await Promise.all(putting)).filter((bid) => bid !== undefined)
  const again = await begin([1])
  for (const bid of kept) expect((await client.statShard(unit(again), bid)).size).toBe(MIB)
})

describe('a disk', () => {
  it('that is taken away is told of as broken, refuses from then on, and the others go on', async () => {
    const child = await begin([1, 2])
    for (const disk of [1, 2]) await client.createChunk(unit(child, disk), 1024 * MIB)
    rmSync(pathOf(1), { recursive: true })
    await until(
      () => node.beats.get(1)?.broken,
      PATIENCE,
      () => child.output,
    )
    await expect(client.putShard(unit(child), 1n, Buffer.alloc(1))).rejects.toMatchObject({
      status: 613,
    })
    await client.putShard(unit(child, 2), 1n, Buffer.alloc(1))
    expect(node.beats.get(2)?.broken).toBeNull()
  })

  it('whose bytes have changed says so, and gives none of them out', async () => {
    const child = await begin([1])
    const at = unit(child)
    await client.createChunk(at, 1024 * MIB)
    const sizes = [10_000, 700_000, 6 * MIB]
    for (const [bid, size] of sizes.entries()) {
      await client.putShard(at, BigInt(bid + 1), Buffer.alloc(size, `<${bid}>`))
    }
    const offsets = await client.listShards(at, { from: 0n, status: 0, count: 10 })
    expect(offsets.shards.map(({ size }) => size)).toEqual(sizes)
    const chunks = join(pathOf(1), 'chunks')
    const file = join(chunks, readdirSync(chunks)[0]!)
    const bytes = readFileSync(file)
    for (const [bid, size] of sizes.entries()) {
      const at = bytes.indexOf(`<${bid}><${bid}><${bid}>`) + size - 5_000
      bytes[at] = bytes[at]! ^ 1
    }
    writeFileSync(file, bytes)
    for (const bid of sizes.keys()) {
      await expect(client.getShard(at, BigInt(bid + 1))).rejects.toMatchObject({ status: 658 })
    }
    const range = { from: 100, to: 200 }
    expect(await client.getShard(at, 3n, { range })).toHaveLength(100)
  })

  it('that another process has is not served, and the others are', async () => {
    const first = await begin([1])
    await client.createChunk(unit(first), 1024 * MIB)
    const second = await begin([1, 2])
    expect(second.output).toContain(`is used by the process ${first.pid}`)
    await expect(client.statChunk(unit(second))).rejects.toMatchObject({ code: 'unavailable' })
    await client.createChunk(unit(second, 2), 1024 * MIB)
    expect((await client.statChunk(unit(first))).shards).toBe(0)
    // The one that waits has it as soon as it can.
    await first.ended('SIGTERM')
    await until(
      () => client.statChunk(unit(second)),
      PATIENCE,
      () => second.output,
    )
  })

  it('that a node refuses is told of, and not served', async () => {
    node.refused.add(1)
    const child = await begin([1, 2])
    expect(child.output).toContain('disk 1 is of host b9')
    await expect(client.statChunk(unit(child))).rejects.toMatchObject({ status: 611 })
    await client.createChunk(unit(child, 2), 1024 * MIB)
  })
})

it('holds of a large shard only a piece', async () => {
  const size = 256 * MIB
  const child = await begin([1])
  const at = unit(child)
  await client.createChunk(at, 1024 * MIB)
  await client.putShard(at, 1n, Buffer.alloc(4 * MIB))
  const before = peakBytesOf(child.pid)
  await put(`${at.address}/shard/put/diskid/1/vuid/${VUID}/bid/2/size/${size}`, size)
  expect((await client.statShard(at, 2n)).size).toBe(size)
  const back = await client.getShard(at, 2n)
  expect(back.length).toBe(size)
  expect(crc32(back)).toBe((await client.statShard(at, 2n)).crc)
  expect(peakBytesOf(child.pid) - before).toBeLessThan(size / 2)
})

/** The most memory that a process has had. */
function peakBytesOf(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024
}

/** As much as that, of one piece again and again. */
function put(url: string, size: number): Promise<void> {
  const piece = Buffer.alloc(MIB, 'piece')
  return new Promise((resolve, reject) => {
    const headers = { 'content-length': size }
    const outgoing = httpRequest(url, { method: 'POST', headers }, (incoming) => {
      incoming.resume().once('end', () => resolve())
    })
    outgoing.once('error', reject)
    let sent = 0
    const send = () => {
      while (sent < size) {
        sent += piece.length
        if (!outgoing.write(piece)) return void outgoing.once('drain', send)
      }
      outgoing.end()
    }
    send()
  })
}
