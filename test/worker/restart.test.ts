import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, utimes, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TaskAttempt } from '../../src/machine/index.ts'
import { formatCommandId } from '../../src/protocol/index.ts'
import { AttemptFiles, type AttemptRecord } from '../../src/worker/attempt-files.ts'
import { LogStore, ProcessRunner, runProcess } from '../../src/worker/index.ts'
import { sweepAttempts } from '../../src/worker/sweep.ts'
import { holds, until } from '../waiting.ts'
import { realClock, silentLog } from './process/real-time.ts'
import { lives } from './process/runs.ts'
import { refused, WorkerRig } from './rig.ts'

let rig: WorkerRig
let files: AttemptFiles

beforeEach(async () => {
  rig = await WorkerRig.create()
  files = new AttemptFiles(rig.directory)
  await files.open()
})

afterEach(() => rig.close())

const SOON = { timeoutMs: 8_000 }
const TASK_ID = 'thing/a#1:1:0'
const bootId = async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()

/** As a process left it that was killed while the attempt ran. */
async function leave(record: Partial<AttemptRecord> = {}): Promise<AttemptRecord> {
  const whole: AttemptRecord = {
    taskId: TASK_ID,
    address: 'thing/a',
    name: 'work',
    input: { n: 1n },
    attempt: 3,
    token: 'token-of-before',
    leaseMs: 30_000,
    onWorkerLost: 'park',
    startedAt: Date.now(),
    bootId: await bootId(),
    ...record,
  }
  await files.writeIntent('left', {
    taskId: whole.taskId,
    ticket: 't',
    commandId: formatCommandId(Date.now(), 'x'),
  })
  await files.writeAttempt('left', whole)
  return whole
}

describe('after a kill -9', () => {
  it('a result that was kept is reported, under its id, without running again', async () => {
    let runs = 0
    rig.task({ name: 'work', run: async () => ++runs })
    await leave()
    const commandId = formatCommandId(Date.now(), 'kept')
    await files.writeResult('left', {
      commandId,
      result: { op: 'task.done', output: { rows: new Map([[1, 2n]]) } },
    })
    await rig.worker()
    await until(() => rig.asked('task.done').length === 1, SOON, 'the report')
    const [done] = rig.asked('task.done')
    expect(done).toMatchObject({
      id: commandId,
      token: 'token-of-before',
      output: { rows: new Map([[1, 2n]]) },
    })
    await until(() => !files.isLive('left'), SOON, 'the end')
    expect(runs).toBe(0)
  })

  it('an attempt that can go on does so: same token, same directory, same attempt', async () => {
    const seen: TaskAttempt<unknown>[] = []
    rig.task({
      name: 'work',
      reattach: true,
      run: async (attempt) => {
        seen.push(attempt)
        return 'went on'
      },
    })
    await leave()
    await rig.worker()
    await until(() => rig.asked('task.done').length === 1, SOON, 'the report')
    expect(rig.asked('task.attach')).toMatchObject([
      { taskId: TASK_ID, token: 'token-of-before', worker: 'w1' },
    ])
    expect(rig.asked('task.start')).toEqual([])
    expect(seen).toMatchObject([
      {
        reattached: true,
        attempt: 3,
        token: 'token-of-before',
        input: { n: 1n },
        directory: files.directoryOf('left'),
      },
    ])
    expect(rig.asked('task.done')[0]).toMatchObject({ token: 'token-of-before', output: 'went on' })
  })

  it('one that cannot is reported at once, so that the retry need not wait for the lease', async () => {
    rig.task({ name: 'work', run: () => Promise.reject(new Error('ran')) })
    await leave()
    await rig.worker()
    await until(() => rig.asked('task.failed').length === 1, SOON, 'the report')
    expect(rig.asked('task.failed')[0]).toMatchObject({
      token: 'token-of-before',
      failure: { class: 'temporary', code: 'worker-restarted' },
    })
  })

  it('a start whose answer was lost is asked for again, under the same id', async () => {
    rig.task({ name: 'work', run: async () => 'ran' })
    const commandId = formatCommandId(Date.now(), 'of-before')
    await files.writeIntent('left', { taskId: TASK_ID, ticket: 'shown', commandId })
    rig.grant({ taskId: TASK_ID, name: 'work' })
    await rig.worker()
    await until(() => rig.asked('task.done').length === 1, SOON, 'the report')
    expect(rig.asked('task.start')).toMatchObject([{ id: commandId, ticket: 'shown' }])
  })

  it('an attempt of a task that is not known any more is left as it is', async () => {
    await leave()
    await rig.worker()
    await holds(() => rig.commands.length === 0, { forMs: 200 }, 'silence')
    expect(files.isLive('left')).toBe(true)
  })
})

describe('commands', () => {
  const command = (shell: string) => async (attempt: TaskAttempt<unknown>) => {
    const { code, stdoutBytes } = await runProcess(attempt, { command: { shell } })
    return { code, stdoutBytes, reattached: attempt.reattached }
  }

  async function pidOf(stdout: () => Promise<string>): Promise<number> {
    return until(async () => Number((await stdout()).split('\n')[0]), SOON, 'a pid')
  }

  const stdoutOf = async (
    address: string,
    worker: { runs: { latest(of: string): string | undefined } },
  ) => {
    const directory = worker.runs.latest(address)
    return directory === undefined
      ? ''
      : readFile(join(directory, 'stdout'), 'utf8').catch(() => '')
  }

  it('goes on while its worker is restarted, and has run once', async () => {
    rig.task({ name: 'work', reattach: true, run: command('echo $$; sleep 0.6; echo over') })
    const before = await rig.worker()
    rig.publish({ taskId: TASK_ID, name: 'work', onWorkerLost: 'park' })
    const pid = await pidOf(() => stdoutOf('thing/a', before))
    await before.stop()
    expect(await lives(pid)).toBe(true)
    const after = await rig.worker()
    await until(() => rig.asked('task.done').length === 1, SOON, 'the report')
    expect(rig.asked('task.start')).toHaveLength(1)
    const stdout = `${pid}\nover\n`
    expect(await stdoutOf('thing/a', after)).toBe(stdout)
    expect(rig.asked('task.done')[0]?.output).toEqual({
      code: 0,
      stdoutBytes: stdout.length,
      reattached: true,
    })
  })

  it.each(['task-gone', 'task-stale'] as const)(
    'is ended after a restart when its owner says %s',
    async (code) => {
      rig.task({ name: 'work', reattach: true, run: command('echo $$; sleep 600') })
      const before = await rig.worker()
      rig.publish({ taskId: TASK_ID, name: 'work', onWorkerLost: 'park' })
      const pid = await pidOf(() => stdoutOf('thing/a', before))
      await before.stop()
      rig.script = refused(code)
      await rig.worker()
      await until(async () => !(await lives(pid)), SOON, 'the end of the command')
      expect(rig.asked('task.done').length + rig.asked('task.failed').length).toBe(0)
    },
  )

  it('is ended by a cancel, with its group', async () => {
    rig.task({ name: 'work', reattach: true, run: command('echo $$; sleep 600 & wait') })
    const worker = await rig.worker()
    rig.publish({ taskId: TASK_ID, name: 'work', onWorkerLost: 'park' })
    const pid = await pidOf(() => stdoutOf('thing/a', worker))
    rig.cancel(TASK_ID)
    await until(async () => !(await lives(pid)), SOON, 'the end of the command')
    await until(() => worker.status().running.length === 0, SOON, 'the slot')
  })

  it('of a task that cannot go on is ended before its owner may try again', async () => {
    rig.task({ name: 'work', run: () => Promise.reject(new Error('ran')) })
    await leave()
    const runner = new ProcessRunner({ clock: realClock, log: silentLog })
    const command = { shell: 'sleep 600' }
    const run = await runner.start(files.directoryOf('left'), { command })
    const pid = (await run.whenStarted()) ?? 0
    run.detach()
    runner.close()
    let livedOn: boolean | undefined
    rig.script = (one) => {
      if (one.op === 'task.failed') livedOn ??= existsSync(`/proc/${pid}/exe`)
      return undefined
    }
    await rig.worker()
    await until(() => livedOn !== undefined, SOON, 'the report')
    expect(livedOn).toBe(false)
  })

  it('under rerun ends by itself within the lease when its worker is gone', async () => {
    rig.task({ name: 'work', reattach: true, run: command('echo $$; sleep 600') })
    const worker = await rig.worker()
    rig.publish({ taskId: TASK_ID, name: 'work', onWorkerLost: 'rerun', leaseMs: 2_400 })
    const pid = await pidOf(() => stdoutOf('thing/a', worker))
    // Longer than the lease: as long as heartbeats are accepted it lives.
    await holds(() => lives(pid), { forMs: 3_000, every: 100 }, 'the command to live')
    const last = performance.now()
    await worker.stop()
    await until(async () => !(await lives(pid)), SOON, 'the end of the command')
    expect(performance.now() - last).toBeLessThan(2_400)
  })

  it('under rerun ends within the lease when its owner cannot be reached', async () => {
    rig.task({ name: 'work', reattach: true, run: command('echo $$; sleep 600') })
    const worker = await rig.worker()
    rig.publish({ taskId: TASK_ID, name: 'work', onWorkerLost: 'rerun', leaseMs: 2_400 })
    const pid = await pidOf(() => stdoutOf('thing/a', worker))
    rig.script = () => 'silence'
    const last = performance.now()
    await until(async () => !(await lives(pid)), SOON, 'the end of the command')
    expect(performance.now() - last).toBeLessThan(2_400)
  })

  it('is not run again after a loss of power that took its records, unless it may be', async () => {
    rig.task({ name: 'work', reattach: true, run: command('echo ran') })
    await leave({ bootId: 'another boot', onWorkerLost: 'park' })
    const worker = await rig.worker()
    await until(() => rig.asked('task.failed').length === 1, SOON, 'the report')
    expect(rig.asked('task.failed')[0]?.failure).toMatchObject({
      class: 'permanent',
      code: 'unknown-run',
    })
    await worker.stop()
    await leave({ bootId: 'another boot', onWorkerLost: 'rerun' })
    await rig.worker()
    await until(() => rig.asked('task.done').length === 1, SOON, 'the result')
  })
})

describe('files', () => {
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

  it('an attempt that is over is not live while its files go: nobody would know that it had run', () => {
    files.writeIntent('one', { taskId: TASK_ID, ticket: 't', commandId: 'c' })
    // A directory that cannot be removed stands for a crash on the way.
    writeFileSync(files.directoryOf('one'), '')
    expect(() => files.retire('one')).toThrow('cannot remove an attempt')
    expect(files.isLive('one')).toBe(false)
  })

  it('clears away what is old or too much, oldest first, and never what is live', async () => {
    const now = Date.now()
    const make = async (name: string, daysAgo: number, bytes: number, isLive = false) => {
      const record = { ...(await leave({ address: `thing/${name}` })) }
      await files.writeAttempt(name, record)
      await writeFile(join(files.directoryOf(name), 'stdout'), Buffer.alloc(bytes))
      files.point(record.address, name, 1)
      if (isLive) return files.writeIntent(name, { taskId: 't', ticket: 't', commandId: 'c' })
      await files.retire(name)
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
})
