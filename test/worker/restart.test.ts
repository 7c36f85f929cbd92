import { existsSync } from 'node:fs'
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TaskAttempt } from '../../src/machine/index.ts'
import { formatCommandId } from '../../src/protocol/index.ts'
import { AttemptFiles, type AttemptRecord } from '../../src/worker/attempt-files.ts'
import { ProcessRunner, runProcess } from '../../src/worker/index.ts'
import { holds, until } from '../waiting.ts'
import { realClock, silentLog } from './process/real-time.ts'
import { lives } from './process/runs.ts'
import { refused, WorkerRig } from './rig.ts'

let rig: WorkerRig
let files: AttemptFiles

beforeEach(async () => {
  rig = await WorkerRig.create()
  files = new AttemptFiles(rig.directory)
  files.open()
})

afterEach(() => rig.close())

const SOON = { timeoutMs: 8_000 }
const TASK_ID = 'thing/a#1:1:0'
const bootId = async () => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()

const INTENT = { taskId: TASK_ID, ticket: 't', commandId: formatCommandId(Date.now(), 'x') }

/** As a process left it that was killed while the attempt ran. */
async function leave(record: Partial<AttemptRecord> = {}): Promise<AttemptRecord> {
  const whole: AttemptRecord = {
    taskId: TASK_ID,
    address: 'thing/a',
    name: 'work',
    attempt: 3,
    token: 'token-of-before',
    leaseMs: 30_000,
    onWorkerLost: 'park',
    startedAt: Date.now(),
    bootId: await bootId(),
    ...record,
  }
  files.writeIntent('left', INTENT)
  await files.writeAttempt('left', whole)
  return whole
}

/** As it is on disk, whoever wrote it. */
const isLive = (name: string) => rig.live().includes(name)

describe('after a kill -9', () => {
  it('a result that was kept is reported, under its id, without running again', async () => {
    let runs = 0
    rig.task({ name: 'work', run: async () => ++runs })
    await leave()
    const commandId = formatCommandId(Date.now(), 'kept')
    files.writeResult('left', {
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
    await until(() => !isLive('left'), SOON, 'the end')
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
    rig.grant({ taskId: TASK_ID, name: 'work', input: { n: 1n } })
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
    files.writeIntent('left', { taskId: TASK_ID, ticket: 'shown', commandId })
    rig.grant({ taskId: TASK_ID, name: 'work' })
    await rig.worker()
    await until(() => rig.asked('task.done').length === 1, SOON, 'the report')
    expect(rig.asked('task.start')).toMatchObject([{ id: commandId, ticket: 'shown' }])
  })

  describe('that cut the journal of an attempt', () => {
    const kept = formatCommandId(Date.now(), 'kept')

    /** How long the journal is behind each of its lines. */
    async function lengths(): Promise<number[]> {
      await leave()
      files.writeResult('left', {
        commandId: kept,
        result: { op: 'task.done', output: 'of before' },
      })
      const text = await readFile(journal(), 'latin1')
      return [...text.matchAll(/\n/g)].map(({ index }) => index + 1)
    }
    const journal = () => join(rig.directory, 'live', '1')

    it.each([
      ['before the intent', 0, 0],
      ['within it', 0, 1 / 2],
      ['at its last byte', 1, -1],
    ])('%s: its owner was not asked, and is not', async (_when, lines, more) => {
      await cut(await lengths(), lines, more)
      rig.task({ name: 'work', run: () => Promise.reject(new Error('ran')) })
      await rig.worker()
      await holds(() => rig.commands.length === 0, { forMs: 200 }, 'silence')
      expect(rig.live()).toEqual([])
    })

    it.each([
      ['before the record', 1, 0],
      ['within it', 1, 1 / 2],
      ['at its last byte', 2, -1],
    ])('%s: it is asked for again under the same id, and runs', async (_when, lines, more) => {
      await cut(await lengths(), lines, more)
      rig.task({ name: 'work', run: async () => 'ran' })
      rig.grant({ taskId: TASK_ID, name: 'work', onWorkerLost: 'park' })
      await rig.worker()
      await until(() => rig.asked('task.done').length === 1, SOON, 'the result')
      expect(rig.asked('task.start').map(({ id }) => id)).toEqual([INTENT.commandId])
      expect(rig.asked('task.done')).toMatchObject([{ token: 'token-1', output: 'ran' }])
    })

    it.each([
      ['before the result', 2, 0],
      ['within it', 2, 1 / 2],
      ['at its last byte', 3, -1],
    ])('%s: nobody was told, and it goes on', async (_when, lines, more) => {
      await cut(await lengths(), lines, more)
      rig.task({ name: 'work', reattach: true, run: async () => 'went on' })
      await rig.worker()
      await until(() => rig.asked('task.done').length === 1, SOON, 'the result')
      expect(rig.asked('task.start')).toEqual([])
      expect(rig.asked('task.done')).toMatchObject([
        { token: 'token-of-before', output: 'went on' },
      ])
      expect(rig.asked('task.done')[0]?.id).not.toBe(kept)
    })

    it('behind the result: that is what is told', async () => {
      await cut(await lengths(), 3, 0)
      rig.task({ name: 'work', reattach: true, run: async () => 'went on' })
      await rig.worker()
      await until(() => rig.asked('task.done').length === 1, SOON, 'the result')
      expect(rig.asked('task.done')).toMatchObject([{ id: kept, output: 'of before' }])
    })

    it('and again, while what was cut is made good', async () => {
      await cut(await lengths(), 1, 1 / 2)
      rig.task({ name: 'work', reattach: true, run: () => new Promise(() => {}) })
      rig.grant({ taskId: TASK_ID, name: 'work', onWorkerLost: 'park' })
      const before = await rig.worker()
      await until(() => before.status().running.length === 1, SOON, 'the attempt')
      await before.stop()
      rig.task({ name: 'work', reattach: true, run: async () => 'went on' })
      await rig.worker()
      await until(() => rig.asked('task.done').length === 1, SOON, 'the result')
      expect(rig.asked('task.start')).toHaveLength(1)
      expect(rig.asked('task.done')).toMatchObject([{ token: 'token-1', output: 'went on' }])
    })

    /** @param more of the next line, as a share; negative: bytes less than those lines */
    async function cut(ends: number[], lines: number, more: number): Promise<void> {
      const from = lines === 0 ? 0 : (ends[lines - 1] ?? 0)
      const extra = more < 0 ? more : Math.floor(((ends[lines] ?? from) - from) * more)
      await truncate(journal(), from + extra)
    }
  })

  it('an attempt finds its directory again, with what it wrote there and not otherwise', async () => {
    const seen: unknown[] = []
    rig.task({
      name: 'work',
      reattach: true,
      run: async ({ directory, reattached, input }) => {
        seen.push([reattached, input, directory, await readdir(directory)])
        await writeFile(join(directory, 'note'), 'kept')
        if (!reattached) return new Promise(() => {})
      },
    })
    const before = await rig.worker()
    rig.publish({ taskId: TASK_ID, name: 'work', input: 'what to do', onWorkerLost: 'park' })
    await until(
      async () => (await readdir(join(rig.directory, 'attempts'), { recursive: true })).length > 2,
      SOON,
      'the note',
    )
    await before.stop()
    await rig.worker()
    await until(() => rig.asked('task.done').length === 1, SOON, 'the end')
    const [name = ''] = await readdir(join(rig.directory, 'attempts'))
    const directory = files.directoryOf(name)
    expect(seen).toEqual([
      [false, 'what to do', directory, ['attempt.json']],
      [true, 'what to do', directory, ['attempt.json', 'note']],
    ])
    await until(() => !isLive(name), SOON, 'the end of the attempt')
    // What people look into afterwards: whose it was, and how it went.
    expect((await readdir(directory)).toSorted()).toEqual(['attempt.json', 'journal', 'note'])
    const journal = await readFile(join(directory, 'journal'), 'utf8')
    expect(journal).toContain('"op":"task.done"')
    // Its owner has it, and told it again.
    expect(journal).not.toContain('what to do')
  })

  it('an attempt of a task that is not known any more is left as it is', async () => {
    await leave()
    await rig.worker()
    await holds(() => rig.commands.length === 0, { forMs: 200 }, 'silence')
    expect(isLive('left')).toBe(true)
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
