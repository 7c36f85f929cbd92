/** Commands outlive their worker, run once, and are found again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { bootId } from '../../../src/worker/process/identity.ts'
import { shimArguments } from '../../../src/worker/process/shim.ts'
import { scriptArguments } from '../../script.ts'
import { eventually } from './real-time.ts'
import { lives, Runs } from './runs.ts'

let runs: Runs
beforeAll(async () => {
  runs = await Runs.create()
})
afterAll(() => runs.close())

const repository = join(import.meta.dirname, '../../..')

function startWorker(names: readonly string[], shell: string): ChildProcess {
  const worker = join(import.meta.dirname, 'worker.ts')
  const words = [...scriptArguments(worker), names.map((name) => runs.dir(name)).join(':'), shell]
  return spawn(process.execPath, words, { cwd: repository, stdio: 'ignore' })
}

function ended(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once('exit', resolve))
}

describe('a worker that is killed', () => {
  it('loses nothing of a command that goes on', async () => {
    const log = join(runs.root, 'times-run')
    const shell = `echo ran >>${log}; i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); sleep 0.01; done; exit 9`
    const worker = startWorker(['survivor'], shell)
    await eventually('some output', async () =>
      (await runs.text('survivor', 'stdout').catch(() => '')).includes('line 10'),
    )
    const gone = ended(worker)
    worker.kill('SIGKILL')
    await gone
    const attached = await runs.attach('survivor')
    expect(attached?.pid).toBeGreaterThan(1)
    // A worker that comes back asks for the same run again.
    const again = await runs.start('survivor', { command: { shell } })
    expect(again.pid).toBe(attached?.pid)
    expect(await attached?.exit()).toMatchObject({ code: 9, signal: null, reason: 'exited' })
    expect(await again.exit()).toEqual(await attached?.exit())
    const lines = Array.from({ length: 200 }, (_, index) => `line ${index}\n`).join('')
    expect(await runs.text('survivor', 'stdout')).toBe(lines)
    expect(await readFile(log, 'utf8')).toBe('ran\n')
  }, 30_000)

  it('at random moments, over and over, runs every command once', async () => {
    const log = join(runs.root, 'each-once')
    const names = Array.from({ length: 40 }, (_, index) => `each-${index}`)
    const shell = `echo $(basename $TROUPE_RUN) >>${log}; echo out; exit 3`
    for (let round = 0; round < 6; round++) {
      const worker = startWorker(names, shell)
      const gone = ended(worker)
      // Later in each round, so that the kills fall all over the starts.
      const enough = Math.floor((round * names.length) / 8)
      await eventually('some runs', async () => {
        const claims = await Promise.all(names.map((name) => runs.attach(name)))
        return claims.filter((run) => run !== undefined).length > enough || worker.exitCode !== null
      })
      worker.kill('SIGKILL')
      await gone
    }
    for (const name of names) {
      const run = await runs.start(name, { command: { shell } })
      expect(await run.exit()).toMatchObject({ code: 3, reason: 'exited' })
      expect(await runs.text(name, 'stdout')).toBe('out\n')
    }
    const ran = (await readFile(log, 'utf8')).trim().split('\n').sort()
    expect(ran).toEqual([...names].sort())
  }, 60_000)
})

describe('start', () => {
  it('runs once, however many ask at the same time', async () => {
    const spec = { command: { shell: 'echo once; sleep 0.1; exit 6' } }
    const all = await Promise.all(Array.from({ length: 8 }, () => runs.start('crowd', spec)))
    const exits = await Promise.all(all.map((run) => run.exit()))
    expect(new Set(exits.map((exit) => JSON.stringify(exit))).size).toBe(1)
    expect(exits[0]).toMatchObject({ code: 6 })
    expect(new Set(all.map((run) => run.pid)).size).toBe(1)
    expect(await runs.text('crowd', 'stdout')).toBe('once\n')
  })

  it('leaves it to the shims alone who runs', async () => {
    await mkdir(runs.dir('shims'))
    const words = shimArguments(
      {
        dir: runs.dir('shims'),
        startedAt: 1,
        bootId: bootId(),
        groupGraceMs: undefined,
        watchdog: undefined,
        setsidPath: '/usr/bin/setsid',
      },
      ['echo', 'once'],
    )
    const all = 'n=0; while [ $n -lt 16 ]; do /bin/sh "$@" & n=$((n + 1)); done; wait'
    await ended(spawn('sh', ['-c', all, 'all', ...words], { stdio: 'ignore' }))
    expect(await runs.text('shims', 'stdout')).toBe('once\n')
  })

  it('runs once in a directory that a dead worker only made', async () => {
    await mkdir(runs.dir('made'))
    expect(await runs.attach('made')).toBeUndefined()
    const run = await runs.start('made', { command: { shell: 'echo once' } })
    expect(await run.exit()).toMatchObject({ code: 0 })
    const again = await runs.start('made', { command: { shell: 'echo twice' } })
    expect(await again.exit()).toEqual(await run.exit())
    expect(await runs.text('made', 'stdout')).toBe('once\n')
  })

  it('refuses a directory that cannot be', async () => {
    await writeFile(join(runs.root, 'file'), '')
    const start = runs.start('file/below', { command: { shell: 'true' } })
    await expect(start).rejects.toMatchObject({ code: 'store-failed' })
  })
})

describe('attach', () => {
  it('finds a run that is over', async () => {
    const run = await runs.start('done', { command: { shell: 'echo a; exit 2' } })
    const exit = await run.exit()
    const attached = await runs.attach('done')
    expect(await attached?.exit()).toEqual(exit)
    expect(attached?.startedAt).toBe(exit.startedAt)
  })

  it('notices the end without polling', async () => {
    const slow = await Runs.create({ attachPollMs: 60_000 })
    await slow.start('watched', { command: { shell: 'sleep 0.3; exit 1' } })
    const attached = await eventually('the claim', () => slow.attach('watched'))
    await attached.whenStarted()
    expect(await attached.exit()).toMatchObject({ code: 1 })
    await slow.close()
  }, 10_000)

  it('lets go of a run that goes on', async () => {
    await runs.start('let-go', { command: { argv: ['sleep', '60'] } })
    const attached = await eventually('the claim', () => runs.attach('let-go'))
    const pid = (await attached.whenStarted()) ?? 0
    const exit = attached.exit()
    attached.detach()
    await expect(exit).rejects.toMatchObject({ code: 'unavailable' })
    expect(await lives(pid)).toBe(true)
  })
})

describe('a directory that is removed', () => {
  it('while the command runs, keeps no shim waiting, and the run is not there any more', async () => {
    const run = await runs.start('removed', { command: { argv: ['sleep', '60'] } })
    const pid = (await run.whenStarted()) ?? 0
    const [shim] = (await runs.text('removed', 'claim')).split(' ')
    const exit = run.exit()
    await rm(runs.dir('removed'), { recursive: true })
    process.kill(pid, 'SIGKILL')
    await expect(exit).rejects.toMatchObject({ code: 'not-found' })
    await eventually('the end of the shim', async () => !(await lives(Number(shim))), 3_000)
  })
})

describe('a shim that is killed', () => {
  it('loses the run once its command is gone, and not before', async () => {
    const run = await runs.start('shimless', { command: { argv: ['sleep', '60'] } })
    const pid = (await run.whenStarted()) ?? 0
    const [shim] = (await runs.text('shimless', 'claim')).split(' ')
    process.kill(Number(shim), 'SIGKILL')
    await eventually('the shim is gone', async () => !(await lives(Number(shim))))
    const attached = await runs.attach('shimless')
    expect(await lives(pid)).toBe(true)
    await attached?.kill({ graceMs: 1_000 })
    expect(await lives(pid)).toBe(false)
    expect(await attached?.exit()).toMatchObject({ code: null, signal: null, reason: 'lost' })
    expect(await run.exit()).toEqual(await attached?.exit())
  })

  it('as it claimed, loses the run too', async () => {
    await mkdir(runs.dir('empty-claim'))
    await writeFile(join(runs.dir('empty-claim'), 'claim'), '')
    const run = await runs.start('empty-claim', { command: { shell: 'echo no' } })
    expect((await run.exit()).reason).toBe('lost')
    await expect(runs.text('empty-claim', 'stdout')).rejects.toThrow()
  })

  it('and replaced by a process that has its pid, loses the run as well', async () => {
    await mkdir(runs.dir('other-shim'))
    await writeFile(join(runs.dir('other-shim'), 'claim'), `${process.pid} 1 ${bootId()} 5 end\n`)
    const attached = await runs.attach('other-shim')
    expect((await attached?.exit())?.reason).toBe('lost')
  })
})

describe('much output', () => {
  it('fills neither memory nor a pipe', async () => {
    const before = process.memoryUsage().rss
    const shell = 'yes 0123456789abcdef | head -c 300000000'
    const run = await runs.start('much', { command: { shell } })
    expect(await run.exit()).toMatchObject({ code: 0 })
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024)
    const wc = await runs.start('count', {
      command: { argv: ['stat', '-c', '%s', `${run.dir}/stdout`] },
    })
    await wc.exit()
    expect(await runs.text('count', 'stdout')).toBe('300000000\n')
  }, 60_000)
})
