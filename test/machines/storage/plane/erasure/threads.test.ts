/** The threads: that they compute and not we, who gets a job, and what happens when one dies. */
import type { Worker } from 'node:worker_threads'
import { crc32 } from 'node:zlib'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { codeModeOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure, type Stripe } from '../../../../../machines/storage/plane/erasure/index.ts'
import { until } from '../../../../waiting.ts'

const seen = vi.hoisted(() => ({ workers: [] as Worker[], isBroken: false }))
vi.mock('node:worker_threads', async (original) => {
  const real = await original<typeof import('node:worker_threads')>()
  class SeenWorker extends real.Worker {
    constructor(entry: string | URL, options: object) {
      super(
        ...([
          seen.isBroken ? new URL('data:text/javascript,throw Error("broken")') : entry,
          options,
        ] as const),
      )
      seen.workers.push(this)
    }
  }
  return { ...real, Worker: SeenWorker }
})

/** The types of Node leave it out. */
declare const WebAssembly: { Instance: new (module: object) => object }

const WAIT = { timeoutMs: 30_000 }
const MIB = 1024 ** 2
const mode = codeModeOf('EC6P3')

let erasure: Erasure
beforeEach(() => {
  Object.assign(seen, { workers: [], isBroken: false })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await erasure.close()
})

function filled(blobBytes: number): Stripe {
  const stripe = erasure.stripe(mode, blobBytes)
  stripe.data.fill(blobBytes)
  return stripe
}

function checksumsOf(stripe: Stripe): number[] {
  return Array.from({ length: 9 }, (_, unit) => crc32(stripe.shard(unit)))
}

/** How many jobs each of them was given from now on. */
function jobsOf(workers: readonly Worker[]): () => number[] {
  const spies = workers.map((worker) => vi.spyOn(worker, 'postMessage'))
  return () => spies.map(({ mock }) => mock.calls.length)
}

it('computes there, while the main thread goes on', async () => {
  const loaded = vi.spyOn(WebAssembly, 'Instance')
  erasure = await Erasure.open({ threads: 1 })
  const stripe = filled(16 * MIB)
  let isDone = false
  const encoding = erasure.encode(stripe).finally(() => {
    isDone = true
  })
  let turns = 0
  for (; !isDone; turns++) await new Promise((resolve) => setImmediate(resolve))
  expect(turns).toBeGreaterThan(10)
  expect(loaded).not.toHaveBeenCalled()
  expect(await encoding).toEqual(checksumsOf(stripe))
})

it('begins its threads with the first blob where that is asked for', async () => {
  erasure = Erasure.onDemand({ threads: 2 })
  const stripe = filled(1000)
  expect(seen.workers).toHaveLength(0)
  expect(await erasure.encode(stripe)).toEqual(checksumsOf(stripe))
  expect(seen.workers).toHaveLength(2)
})

it('gives a job to the thread with the least to do', async () => {
  erasure = await Erasure.open({ threads: 2 })
  expect(seen.workers).toHaveLength(2)
  const jobs = jobsOf(seen.workers)
  const all = [16 * MIB, MIB, MIB, MIB].map((bytes) => erasure.encode(filled(bytes)))
  expect(jobs()).toEqual([1, 3])
  await Promise.all(all)
  await erasure.encode(filled(MIB))
  await Promise.all([MIB, MIB].map((bytes) => erasure.encode(filled(bytes))))
  expect(jobs()).toEqual([3, 4])
})

it('does the job of a thread that died again', async () => {
  erasure = await Erasure.open({ threads: 1 })
  const stripe = filled(16 * MIB)
  const encoding = erasure.encode(stripe)
  const small = filled(100)
  const behind = erasure.encode(small)
  await seen.workers[0]!.terminate()
  expect(await encoding).toEqual(checksumsOf(stripe))
  expect(await behind).toEqual(checksumsOf(small))
  expect(seen.workers).toHaveLength(2)
})

it('leaves jobs of a dead thread to those that live, and replaces it', async () => {
  erasure = await Erasure.open({ threads: 2 })
  const stripes = [16 * MIB, 16 * MIB].map((bytes) => filled(bytes))
  const encoding = stripes.map((stripe) => erasure.encode(stripe))
  seen.workers[1]!.emit('error', new Error('of a test'))
  await seen.workers[1]!.terminate()
  expect(await Promise.all(encoding)).toEqual(stripes.map(checksumsOf))
  expect(seen.workers).toHaveLength(3)
})

it('gives a job up that ends one thread after the other, and serves the next', async () => {
  erasure = await Erasure.open({ threads: 1 })
  const encoding = erasure.encode(filled(32 * MIB))
  const failed = expect(encoding).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('ended 2 threads'),
  })
  await seen.workers[0]!.terminate()
  await until(() => seen.workers.length === 2, WAIT, 'another thread begins')
  await seen.workers[1]!.terminate()
  await failed
  const stripe = filled(1000)
  expect(await erasure.encode(stripe)).toEqual(checksumsOf(stripe))
})

it('says when threads cannot begin', async () => {
  erasure = await Erasure.open({ threads: 1 })
  seen.isBroken = true
  const opened = Erasure.open({ threads: 2 })
  await expect(opened).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('broken'),
  })
  await seen.workers[0]!.terminate()
  const encoding = erasure.encode(filled(1000))
  await expect(encoding).rejects.toMatchObject({ code: 'unavailable' })
  seen.isBroken = false
  await erasure.encode(filled(1000))
})

it('gives the memory of a job to nobody before it ends', async () => {
  erasure = await Erasure.open({ threads: 1 })
  const stripe = filled(4 * MIB)
  const { memory } = stripe
  const encoding = erasure.encode(stripe)
  erasure.release(stripe)
  erasure.release(stripe)
  const other = erasure.stripe(mode, 4 * MIB)
  expect(other.memory).not.toBe(memory)
  await encoding
  const next = erasure.stripe(mode, 4 * MIB)
  expect(next.memory).toBe(memory)
  expect(erasure.stripe(mode, 4 * MIB).memory).not.toBe(memory)
  await expect(erasure.encode(stripe)).rejects.toThrow('released')
})

it('cuts what runs when it is closed, and takes nothing more', async () => {
  erasure = await Erasure.open({ threads: 1 })
  const stripes = [32 * MIB, 100].map((bytes) => filled(bytes))
  const ended = Promise.allSettled(stripes.map((stripe) => erasure.encode(stripe)))
  await erasure.close()
  const all = [...(await ended), ...(await Promise.allSettled([erasure.encode(filled(10))]))]
  expect(all).toHaveLength(3)
  for (const each of all) {
    expect(each).toMatchObject({ status: 'rejected', reason: { code: 'unavailable' } })
  }
  expect(seen.workers).toHaveLength(1)
})
