import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AttemptFiles, type AttemptRecord } from '../../src/worker/attempt-files.ts'
import { LogStore } from '../../src/worker/index.ts'
import { sweepAttempts } from '../../src/worker/sweep.ts'
import { realClock, silentLog } from './process/real-time.ts'

let directory: string
let files: AttemptFiles

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-attempts-'))
  files = new AttemptFiles(directory)
  files.open()
})

afterEach(async () => {
  files.close()
  await rm(directory, { recursive: true, force: true })
})

const INTENT = { taskId: 'thing/a#1:1:0', ticket: 't', commandId: 'c' }

function recordOf(given: Partial<AttemptRecord> = {}): AttemptRecord {
  return {
    taskId: 'thing/a#1:1:0',
    address: 'thing/a',
    name: 'work',
    attempt: 3,
    token: 'token',
    leaseMs: 30_000,
    onWorkerLost: 'rerun',
    startedAt: 1_700_000_000_000,
    bootId: 'boot',
    ...given,
  }
}

async function begin(name: string, given: Partial<AttemptRecord> = {}): Promise<AttemptRecord> {
  const record = recordOf(given)
  files.writeIntent(name, INTENT)
  await files.writeAttempt(name, record)
  return record
}

/** As the next process finds them. */
function reopened(): AttemptFiles {
  const next = new AttemptFiles(directory)
  next.open()
  return next
}

describe('of an attempt', () => {
  it.each(['rerun', 'wait', 'park'] as const)(
    'under %s give back what was kept',
    async (policy) => {
      const record = await begin('one', { onWorkerLost: policy })
      expect(files.read('one')).toEqual({ record, result: undefined })
      const failure = {
        class: 'temporary',
        message: 'not now',
        detail: new Map([[1, 2n]]),
      } as const
      files.writeResult('one', { commandId: 'r1', result: { op: 'task.failed', failure } })
      // As its owner has forgotten the id: the last one counts.
      const result = { commandId: 'r2', result: { op: 'task.failed', failure } } as const
      files.writeResult('one', result)
      const next = reopened()
      expect(next.live()).toEqual([{ name: 'one', intent: INTENT }])
      expect(next.read('one')).toEqual({ record, result })
    },
  )

  it('are one file, as long as nobody asks for its directory', async () => {
    await begin('one')
    files.writeResult('one', { commandId: 'r', result: { op: 'task.done', output: 1 } })
    expect(await below()).toEqual(['attempts', 'by-address', 'live', 'live/1'])
    files.retire('one')
    // Emptied, it waits for the next one.
    expect((await stat(join(directory, 'live/1'))).size).toBe(0)
    await begin('two')
    expect(await below()).toEqual(['attempts', 'by-address', 'live', 'live/1'])
  })

  it('in a directory that nobody wrote to go with the rest', async () => {
    const record = await begin('one')
    expect(files.makeDirectory('one', record)).toBe(files.directoryOf('one'))
    await writeFile(files.beatFileOf('one'), '.')
    files.retire('one')
    expect(await readdir(files.attemptsDirectory)).toEqual([])
  })

  it('in a directory of an earlier process do so, too', async () => {
    files.makeDirectory('one', await begin('one'))
    const next = reopened()
    expect(next.live()).toHaveLength(1)
    next.retire('one')
    expect(await readdir(files.attemptsDirectory)).toEqual([])
    expect(reopened().live()).toEqual([])
  })

  it('stay where something was written, with the time of the end', async () => {
    const record = await begin('one')
    await writeFile(join(files.makeDirectory('one', record), 'stdout'), 'said')
    const longAgo = new Date('2020-01-01')
    await utimes(files.directoryOf('one'), longAgo, longAgo)
    files.retire('one')
    expect(files.isLive('one')).toBe(false)
    expect((await readdir(files.directoryOf('one'))).toSorted()).toEqual([
      'attempt.json',
      'journal',
      'stdout',
    ])
    expect((await stat(files.directoryOf('one'))).mtimeMs).toBeGreaterThan(Date.now() - 60_000)
  })

  it('say whose a directory is from its beginning, which stays the same for good', async () => {
    const record = await begin('one')
    const path = join(files.makeDirectory('one', record), 'attempt.json')
    const longAgo = new Date('2020-01-01')
    await utimes(path, longAgo, longAgo)
    reopened().makeDirectory('one', record)
    expect((await stat(path)).mtime).toEqual(longAgo)
    expect(files.addressOf('one')).toBe('thing/a')
    // As a crash cuts it: it is written again before anything else is.
    await writeFile(path, readFileSync(path, 'utf8').slice(0, 10))
    expect(files.addressOf('one')).toBeUndefined()
    reopened().makeDirectory('one', record)
    expect(files.addressOf('one')).toBe('thing/a')
  })

  it('that is over are not live while its directory goes: it would go on without what it wrote', async () => {
    const record = await begin('one')
    // What cannot be removed as a file stands for a crash on the way.
    mkdirSync(join(files.makeDirectory('one', record), 'beat'))
    expect(() => files.retire('one')).toThrow('cannot remove an attempt')
    expect(files.isLive('one')).toBe(false)
    expect(existsSync(files.directoryOf('one'))).toBe(true)
  })

  const below = async () => (await readdir(directory, { recursive: true })).toSorted()
})

describe('of the runs of an actor', () => {
  const make = (name: string) => mkdirSync(files.directoryOf(name))

  it('finds the newest run of an actor, however long its address', () => {
    const addresses = ['a/1', 'a/1/b', 'a/1%2Fb', `a/${'x'.repeat(250)}`, `a/${'x'.repeat(251)}`]
    for (const [index, address] of addresses.entries()) {
      files.point(address, `first${index}`, 1)
      expect(files.latest(address)).toBeUndefined()
      files.point(address, `then${index}`, 2)
      make(`then${index}`)
    }
    const found = addresses.map((address) => files.latest(address))
    expect(found).toEqual(addresses.map((_address, index) => files.directoryOf(`then${index}`)))
    // One that is removed takes only its own pointer along.
    files.dropPointer('a/1', 'first0')
    expect(files.latest('a/1')).toBe(files.directoryOf('then0'))
    files.dropPointer('a/1', 'then0')
    expect(files.latest('a/1')).toBeUndefined()
  })

  it('finds the earlier ones too, by their numbers, as long as they are there', () => {
    for (const [index, name] of ['one', 'two', 'three'].entries()) {
      files.point('a/1', name, index + 1)
      make(name)
    }
    // It goes on after a restart of its worker.
    files.point('a/1', 'three', 3)
    const runs = () =>
      files.runs('a/1').map(({ number, directory }) => [number, basename(directory)])
    expect(runs()).toEqual([
      [1, 'one'],
      [2, 'two'],
      [3, 'three'],
    ])
    expect(files.numberOf('a/1', 'two')).toBe(2)
    files.dropPointer('a/1', 'one')
    rmSync(files.directoryOf('two'), { recursive: true })
    expect(runs()).toEqual([[3, 'three']])
  })

  it('of an actor that runs without end the newest runs are found', () => {
    for (let number = 1; number <= 150; number++) {
      files.point('a/1', `run${number}`, number)
      make(`run${number}`)
    }
    const numbers = files.runs('a/1').map(({ number }) => number)
    expect([numbers.length, numbers[0], numbers.at(-1)]).toEqual([100, 51, 150])
  })
})

it('clears away what is old or too much, oldest first, and never what is live', async () => {
  const now = Date.now()
  const make = async (name: string, daysAgo: number, bytes: number, isLive = false) => {
    const record = await begin(name, { address: `thing/${name}` })
    await writeFile(join(files.makeDirectory(name, record), 'stdout'), Buffer.alloc(bytes))
    files.point(record.address, name, 1)
    if (isLive) return
    files.retire(name)
    const at = (now - daysAgo * 86_400_000) / 1_000
    await utimes(files.directoryOf(name), at, at)
  }
  await make('live', 30, 50_000, true)
  await make('old', 8, 10)
  await make('big', 3, 60_000)
  await make('small', 2, 10)
  const logs = new LogStore({ clock: realClock, log: silentLog })
  const sweep = (limits: { attemptKeepMs: number; attemptKeepBytesMax: number }) =>
    sweepAttempts({ files, logs, clock: realClock, log: silentLog, limits })
  const there = () =>
    ['live', 'old', 'big', 'small'].filter((name) => existsSync(files.directoryOf(name)))
  expect(await sweep({ attemptKeepMs: 7 * 86_400_000, attemptKeepBytesMax: 1_000_000 })).toBe(1)
  expect(there()).toEqual(['live', 'big', 'small'])
  expect(files.latest('thing/old')).toBeUndefined()
  expect(await sweep({ attemptKeepMs: 7 * 86_400_000, attemptKeepBytesMax: 60_000 })).toBe(1)
  expect(there()).toEqual(['live', 'small'])
  expect(files.latest('thing/small')).toBe(files.directoryOf('small'))
})
