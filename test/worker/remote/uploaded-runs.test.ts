import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'
import type { RunEnd, RunKept, RunPart, RunUpload } from '../../../src/ports/index.ts'
import { inspectRun, LogStore, UploadedRuns } from '../../../src/worker/index.ts'
import { until } from '../../waiting.ts'
import { silentLog } from '../process/real-time.ts'

const DAY_MS = 86_400_000
const SOON = { timeoutMs: 20_000 }

let directory: string
let clock: VirtualClock
let runs: UploadedRuns
/** What the disk does when it is to be flushed; by default, at once. */
let disk: (path: string) => Promise<void>
let flushed: string[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-uploaded-'))
  clock = new VirtualClock()
  disk = async () => {}
  flushed = []
  runs = open()
  runs.begin('w1', upload())
})

afterEach(async () => {
  runs.close()
  await rm(directory, { recursive: true, force: true })
})

function open(): UploadedRuns {
  const limits = { attemptKeepMs: 7 * DAY_MS, attemptKeepBytesMax: 1_000, sweepEveryMs: DAY_MS }
  const flush = async (path: string) => {
    await disk(path)
    flushed.push(basename(path))
  }
  const bytesMax = 2_000
  const opened = new UploadedRuns({ directory, clock, log: silentLog, limits, bytesMax, flush })
  opened.open()
  return opened
}

function upload(parts: RunPart[] = [], end?: RunEnd, run = 'r1', address = 'run/a'): RunUpload {
  const base = { run, number: 1, address, taskId: `${address}#1`, token: 't', startedAt: 1_000 }
  return end === undefined ? { ...base, parts } : { ...base, parts, end }
}

const out = (offset: number, text: string): RunPart => ({
  stream: 'stdout',
  offset,
  bytes: Buffer.from(text),
})

const logOf = (address = 'run/a') => {
  const found = runs.latest(address)
  return new LogStore({ clock, log: silentLog }).of(found ?? join(directory, 'none'))
}

const textOf = async (stream: 'stdout' | 'stderr' = 'stdout') =>
  (await logOf().read({ stream })).text

const EXIT = '0 0 exited 1000 end\n'

it('keeps bytes once, however they are sent', async () => {
  await runs.append(upload([out(0, 'hello ')]))
  await runs.append(upload([out(0, 'hello ')]))
  expect(await runs.append(upload([out(3, 'lo world')]))).toEqual({ stdout: 11, stderr: 0 })
  expect(await textOf()).toBe('hello world')
})

it('leaves out what would leave a hole, and says where to go on', async () => {
  await runs.append(upload([out(0, 'ab')]))
  expect(await runs.append(upload([out(3, 'd')]))).toEqual({ stdout: 2, stderr: 0 })
})

it('is ended once all is there, with the time of the end', async () => {
  const end = { record: EXIT, endedAt: 5_000, sizes: { stdout: 2, stderr: 0 } }
  const found = runs.latest('run/a') ?? ''
  await runs.append(upload([out(0, 'a')], end))
  expect(inspectRun(found).kind).toBe('lost')
  await runs.append(upload([out(1, 'b')], end))
  expect(inspectRun(found)).toMatchObject({
    kind: 'ended',
    exit: { code: 0, startedAt: 1_000, endedAt: 5_000 },
  })
})

it('knows after a restart whose runs there are', () => {
  runs = open()
  expect(runs.knows('w1', upload())).toBe(true)
  expect(() => runs.knows('w2', upload())).toThrow('is not one of w2')
  expect(() => runs.knows('w1', upload([], undefined, 'r1', 'run/b'))).toThrow('for run/b')
  expect(runs.knows('w1', upload([], undefined, 'r2'))).toBe(false)
})

it('of several runs of an actor the newest is found, and the others by their numbers', async () => {
  await runs.append(upload([out(0, 'old')]))
  runs.begin('w2', { ...upload([], undefined, 'r2'), number: 2 })
  await runs.append(upload([out(0, 'new')], undefined, 'r2'))
  expect(await textOf()).toBe('new')
  const found = runs.runs('run/a').map((run) => [run.number, basename(run.directory)])
  expect(found).toEqual([
    [1, 'r1'],
    [2, 'r2'],
  ])
})

it('old ones are cleared away, oldest first, and what takes too much', async () => {
  await runs.append(upload([out(0, 'x'.repeat(600))]))
  await clock.settle(1_000)
  runs.begin('w1', upload([], undefined, 'r2', 'run/b'))
  await runs.append(upload([out(0, 'y'.repeat(300))], undefined, 'r2', 'run/b'))
  await clock.settle(DAY_MS)
  await until(
    async () => (await readdir(join(directory, 'attempts'))).join() === 'r2',
    SOON,
    'the older one to go',
  )
  expect(runs.latest('run/a')).toBeUndefined()
  expect(runs.runs('run/a')).toEqual([])
  // Should its worker still bring something, it is asked to begin anew.
  expect(runs.knows('w1', upload())).toBe(false)
})

it('says that it has something once that is flushed, with what leads to it', async () => {
  const writes: (() => void)[] = []
  disk = () => new Promise((resolve) => writes.push(resolve))
  let kept: RunKept | undefined
  void runs.append(upload([out(0, 'a')])).then((sizes) => {
    kept = sizes
  })
  const wanted = ['attempt.json', 'claim', 'pid', 'run^a', 'stdout']
  for (let done = 0; done < wanted.length; done++) {
    expect(kept).toBeUndefined()
    await until(
      () => writes.length > done,
      SOON,
      () => `a file after ${flushed.join(', ')}`,
    )
    writes[done]?.()
    await until(() => flushed.length === done + 1, SOON, 'its flush')
  }
  expect(flushed.toSorted()).toEqual(wanted)
  await until(() => kept !== undefined, SOON, 'the answer')
  expect(kept).toEqual({ stdout: 1, stderr: 0 })
  flushed = []
  disk = async () => {}
  await runs.append(upload([out(1, 'b')]))
  expect(flushed).toEqual(['stdout'])
  await runs.append(upload())
  expect(flushed).toEqual(['stdout'])
})

it('does not answer before the flush', async () => {
  disk = () => new Promise(() => {})
  let isAnswered = false
  const answers = [upload([out(0, 'a')]), upload([out(0, 'a')]), upload()].map((one) =>
    runs.append(one).then(() => {
      isAnswered = true
    }),
  )
  await clock.settle(1_000)
  expect([answers.length, isAnswered]).toEqual([3, false])
})

it('what a node before it may not have flushed is flushed before it is counted', async () => {
  await runs.append(upload([out(0, 'a')]))
  runs = open()
  flushed = []
  expect(runs.knows('w1', upload())).toBe(true)
  expect(await runs.append(upload())).toEqual({ stdout: 1, stderr: 0 })
  expect(flushed).toContain('stdout')
})

it('what could not be flushed is not kept, and is taken when it comes again', async () => {
  await runs.append(upload([out(0, 'a')]))
  disk = () => Promise.reject(new Error('EIO'))
  await expect(runs.append(upload([out(1, 'b')]))).rejects.toMatchObject({ code: 'store-failed' })
  expect(await textOf()).toBe('a')
  disk = async () => {}
  expect(await runs.append(upload([out(1, 'b')]))).toEqual({ stdout: 2, stderr: 0 })
  expect(flushed.filter((name) => name === 'stdout')).toHaveLength(2)
})

it('what leads to it is flushed once more after a flush that failed', async () => {
  disk = (path) => (path.endsWith('claim') ? Promise.reject(new Error('EIO')) : Promise.resolve())
  await expect(runs.append(upload([out(0, 'a')]))).rejects.toMatchObject({ code: 'store-failed' })
  disk = async () => {}
  flushed = []
  expect(await runs.append(upload([out(0, 'a')]))).toEqual({ stdout: 1, stderr: 0 })
  expect(flushed.toSorted()).toEqual(['attempt.json', 'claim', 'pid', 'run^a', 'stdout'])
})

it('keeps the beginning of a stream that has no end, all of the other, and says so', async () => {
  const kept = await runs.append(upload([out(0, 'x'.repeat(1_500))]))
  expect(kept).toEqual({ stdout: 1_000, stderr: 0, full: ['stdout'] })
  const error: RunPart = { stream: 'stderr', offset: 0, bytes: Buffer.from('why') }
  runs = open()
  expect(await runs.append(upload([out(1_000, 'y'), error]))).toEqual({
    stdout: 1_000,
    stderr: 3,
    full: ['stdout'],
  })
  expect(await textOf('stderr')).toBe('why')
  expect(logOf().cut('stdout')).toEqual({ bytes: 1_000, worker: 'w1' })
  expect(logOf().cut('stderr')).toBeUndefined()
  const end = { record: EXIT, endedAt: 5_000, sizes: { stdout: 9_000, stderr: 3 } }
  await runs.append(upload([], end))
  expect(inspectRun(runs.latest('run/a') ?? '').kind).toBe('ended')
})

it('a stream of just that size is whole', async () => {
  expect(await runs.append(upload([out(0, 'x'.repeat(1_000))]))).toEqual({
    stdout: 1_000,
    stderr: 0,
  })
  expect(logOf().cut('stdout')).toBeUndefined()
})

it('a mark that was half written is made again', async () => {
  await runs.append(upload([out(0, 'x'.repeat(1_500))]))
  await writeFile(join(runs.latest('run/a') ?? '', 'stdout.cut'), '{"by')
  runs = open()
  expect(logOf().cut('stdout')).toBeUndefined()
  await runs.append(upload([out(1_000, 'y')]))
  expect(logOf().cut('stdout')).toEqual({ bytes: 1_000, worker: 'w1' })
})
