/** A node that ends in the midst of the first bytes of a run, or is restarted again and again. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'
import type { RunUpload } from '../../../src/ports/index.ts'
import { UploadedRuns } from '../../../src/worker/index.ts'
import { until } from '../../waiting.ts'
import { silentLog } from '../process/real-time.ts'

const DAY_MS = 86_400_000
const ADDRESS = 'run/a'
const UPLOAD: RunUpload = {
  run: 'r1',
  number: 1,
  address: ADDRESS,
  taskId: `${ADDRESS}#1`,
  token: 't',
  startedAt: 1_000,
  parts: [{ stream: 'stdout', offset: 0, bytes: Buffer.from('written') }],
}

let directory: string
let clock: VirtualClock
let opened: UploadedRuns[]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-uploaded-'))
  clock = new VirtualClock()
  opened = []
})

afterEach(async () => {
  for (const runs of opened) runs.close()
  await rm(directory, { recursive: true, force: true })
})

function open(): UploadedRuns {
  const limits = { attemptKeepMs: DAY_MS, attemptKeepBytesMax: 1_000, sweepEveryMs: DAY_MS }
  const runs = new UploadedRuns({ directory, clock, log: silentLog, limits })
  runs.open()
  opened.push(runs)
  return runs
}

it('counts a run as begun only when it can be found', async () => {
  const cut = open()
  // What leads to it cannot be written: all that came before has been.
  await rm(join(directory, 'by-address'), { recursive: true })
  expect(() => cut.begin('w1', UPLOAD)).toThrow('cannot')
  cut.close()
  const runs = open()
  if (!runs.knows('w1', UPLOAD)) runs.begin('w1', UPLOAD)
  await runs.append(UPLOAD)
  expect(runs.latest(ADDRESS)).toBe(join(directory, 'attempts', 'r1'))
})

it('clears away what is old soon after each start', async () => {
  const first = open()
  first.begin('w1', UPLOAD)
  await first.append(UPLOAD)
  const found = first.latest(ADDRESS) ?? ''
  first.close()
  await clock.settle(DAY_MS + 1)
  open()
  await clock.settle(60_000)
  await until(() => !existsSync(found), { timeoutMs: 20_000 }, 'the old run to go')
})
