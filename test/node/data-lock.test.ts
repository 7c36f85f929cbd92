import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { SystemClock } from '../../src/adapters/system/index.ts'
import { lockData } from '../../src/node/data-lock.ts'
import { bootId, processStat } from '../../src/worker/index.ts'
import { until } from '../waiting.ts'

const clock = new SystemClock()
let directory: string
let file: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-lock-'))
  file = join(directory, 'worker.lock')
})

afterEach(() => rm(directory, { recursive: true, force: true }))

const lock = (takeOver = false) => lockData(directory, clock, { takeOver })

const hold = (pid: number, startTicks: number) =>
  writeFile(file, JSON.stringify({ pid, startTicks, bootId: bootId() }))

it('lets one in at a time, and the next once it is released', async () => {
  const first = await lock()
  await expect(lock()).rejects.toMatchObject({ code: 'conflict' })
  first.release()
  const second = await lock()
  second.release()
})

it('of many that come at once, one is let in', async () => {
  const results = await Promise.allSettled(Array.from({ length: 8 }, () => lock()))
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
})

it('does not wait for a process that has died, nor for another one that has its number', async () => {
  const { startTicks = 0 } = processStat(process.pid) ?? {}
  await hold(process.pid, startTicks - 1)
  const held = await lock()
  expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ pid: process.pid, startTicks })
  held.release()
  await writeFile(file, 'half of a rec')
  const again = await lock()
  again.release()
})

it('asks the one that lives to hand over, and waits until it is gone', async () => {
  const child = spawn(
    process.execPath,
    [
      '-e',
      "process.on('SIGUSR2', () => process.exit(7)); console.log('up'); setInterval(() => {}, 1000)",
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const pid = child.pid ?? 0
  await hold(pid, processStat(pid)?.startTicks ?? 0)
  await expect(lock()).rejects.toMatchObject({ code: 'conflict' })
  const held = await lock(true)
  expect(await ended).toBe(7)
  held.release()
})

it('gives up on one that does not hand over', async () => {
  const child = spawn(
    process.execPath,
    ['-e', "process.on('SIGUSR2', () => {}); console.log('up'); setInterval(() => {}, 1000)"],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  try {
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const pid = child.pid ?? 0
    await hold(pid, processStat(pid)?.startTicks ?? 0)
    const virtual = new VirtualClock()
    let refused: unknown
    void lockData(directory, virtual, { takeOver: true }).catch((thrown: unknown) => {
      refused = thrown
    })
    await virtual.settle(29_000)
    expect(refused).toBeUndefined()
    await virtual.settle(2_000)
    await until(() => refused !== undefined, { timeoutMs: 1_000 }, 'a refusal')
    expect(refused).toMatchObject({ code: 'conflict' })
  } finally {
    child.kill('SIGKILL')
  }
})
