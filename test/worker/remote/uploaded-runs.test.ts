import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'
import type { RunEnd, RunPart, RunUpload } from '../../../src/ports/index.ts'
import { inspectRun, LogStore, UploadedRuns } from '../../../src/worker/index.ts'
import { until } from '../../waiting.ts'
import { silentLog } from '../process/real-time.ts'

const DAY_MS = 86_400_000

let directory: string
let clock: VirtualClock
let runs: UploadedRuns

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-uploaded-'))
  clock = new VirtualClock()
  runs = open()
  runs.begin('w1', upload())
})

afterEach(async () => {
  runs.close()
  await rm(directory, { recursive: true, force: true })
})

function open(): UploadedRuns {
  const limits = { attemptKeepMs: 7 * DAY_MS, attemptKeepBytesMax: 1_000, sweepEveryMs: DAY_MS }
  const opened = new UploadedRuns({ directory, clock, log: silentLog, limits })
  opened.open()
  return opened
}

function upload(parts: RunPart[] = [], end?: RunEnd, run = 'r1', address = 'run/a'): RunUpload {
  const base = { run, address, taskId: `${address}#1`, token: 't', startedAt: 1_000, parts }
  return end === undefined ? base : { ...base, end }
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

const EXIT = '0 0 exited 1000 end\n'

it('keeps bytes once, however they are sent', async () => {
  runs.append(upload([out(0, 'hello ')]))
  runs.append(upload([out(0, 'hello ')]))
  expect(runs.append(upload([out(3, 'lo world')]))).toEqual({ stdout: 11, stderr: 0 })
  expect((await logOf().read({ stream: 'stdout' })).text).toBe('hello world')
})

it('leaves out what would leave a hole, and says where to go on', () => {
  runs.append(upload([out(0, 'ab')]))
  expect(runs.append(upload([out(3, 'd')]))).toEqual({ stdout: 2, stderr: 0 })
})

it('is ended once all is there, with the time of the end', () => {
  const end = { record: EXIT, endedAt: 5_000, sizes: { stdout: 2, stderr: 0 } }
  const found = runs.latest('run/a') ?? ''
  runs.append(upload([out(0, 'a')], end))
  expect(inspectRun(found).kind).toBe('lost')
  runs.append(upload([out(1, 'b')], end))
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

it('of several runs of an actor the newest is found', async () => {
  runs.append(upload([out(0, 'old')]))
  runs.begin('w2', upload([], undefined, 'r2'))
  runs.append(upload([out(0, 'new')], undefined, 'r2'))
  expect((await logOf().read({ stream: 'stdout' })).text).toBe('new')
})

it('old ones are cleared away, oldest first, and what takes too much', async () => {
  runs.append(upload([out(0, 'x'.repeat(600))]))
  await clock.settle(1_000)
  runs.begin('w1', upload([], undefined, 'r2', 'run/b'))
  runs.append(upload([out(0, 'y'.repeat(300))], undefined, 'r2', 'run/b'))
  await clock.settle(DAY_MS)
  await until(
    async () => (await readdir(join(directory, 'attempts'))).join() === 'r2',
    { timeoutMs: 5_000 },
    'the older one to go',
  )
  expect(runs.latest('run/a')).toBeUndefined()
  // Should its worker still bring something, it is asked to begin anew.
  expect(runs.knows('w1', upload())).toBe(false)
})
