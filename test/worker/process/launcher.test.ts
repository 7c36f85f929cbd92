/** Shims that the launcher starts: the same as without it, and its death costs nothing. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  realpath,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { bootId } from '../../../src/worker/process/identity.ts'
import type { ProcessSpec } from '../../../src/worker/process/index.ts'
import { DEFAULT_PROCESS_LIMITS } from '../../../src/worker/process/limits.ts'
import { RunningProcess } from '../../../src/worker/process/running.ts'
import { SHIM_SCRIPT, shimWords } from '../../../src/worker/process/shim.ts'
import { scriptArguments } from '../../script.ts'
import { holds } from '../../waiting.ts'
import { eventually, realClock, silentLog } from './real-time.ts'
import { lives, Runs } from './runs.ts'

let runs: Runs
let launcher: number
beforeEach(async () => {
  runs = await Runs.create()
  launcher = await launcherOf(runs)
})
afterEach(async () => {
  await runs.close()
  runs.runner.close()
})

let count = 0
async function start(spec: ProcessSpec) {
  const name = `run-${count++}`
  return { name, run: await runs.start(name, spec) }
}

/** Starts commands until one comes by a launcher, which is not there at once; its pid. */
async function launcherOf(of: Runs): Promise<number> {
  return eventually('a launcher', async () => {
    const name = `launched-${count++}`
    const run = await of.start(name, { command: { argv: ['sleep', '60'] } })
    await run.whenStarted()
    const parent = await parentOf(Number((await of.text(name, 'claim')).split(' ')[0]))
    await run.kill({ graceMs: 0 })
    await run.exit()
    return parent !== process.pid && parent
  })
}

async function parentOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1])
}

async function fieldsOf(pid: number): Promise<string[]> {
  const line = await readFile(`/proc/${pid}/stat`, 'utf8')
  return line.slice(line.lastIndexOf(')') + 2).split(' ')
}

describe('a shim that was launched', () => {
  it('has its own session and no descriptor of others', async () => {
    const { name, run } = await start({ command: { argv: ['sleep', '60'] } })
    await run.whenStarted()
    const shim = Number((await runs.text(name, 'claim')).split(' ')[0])
    expect(await parentOf(shim)).toBe(launcher)
    const [, , group, session] = await fieldsOf(shim)
    expect([group, session]).toEqual([String(shim), String(shim)])
    const names = await readdir(`/proc/${shim}/fd`)
    const links = await Promise.all(
      names.map(async (fd) => `${fd} ${await readlink(`/proc/${shim}/fd/${fd}`)}`),
    )
    expect(links.join()).not.toContain('socket:')
    // Above 9 are those that the test runner was itself started with.
    expect(links.filter((link) => /^\d /.test(link)).sort()).toEqual([
      '0 /dev/null',
      '1 /dev/null',
      `2 ${run.dir}/shim`,
    ])
    await run.kill({ graceMs: 0 })
    await run.exit()
  })

  it('gives its command what it was given, and no ignored signal', async () => {
    const words = ['a b', '$(id)', "it's", 'line\nbreak', '', '\\', 'ü…🙂', '\x01\x7f']
    const shell = 'printf "<%s>" "$@"; printf "%s" "$line"; grep ^SigIgn: /proc/self/status'
    const argv = ['/bin/sh', '-c', shell, 'sh', ...words]
    const { name, run } = await start({
      command: { argv },
      env: { line: 'a\nb', PATH: '/bin:/usr/bin' },
      envBase: 'empty',
    })
    expect(await run.exit()).toMatchObject({ code: 0, reason: 'exited' })
    const said = `${words.map((word) => `<${word}>`).join('')}a\nbSigIgn:\t0000000000000000\n`
    expect(await runs.text(name, 'stdout')).toBe(said)
  })

  it('takes a relative directory as this process does', async () => {
    const cwd = relative(process.cwd(), runs.root)
    const { name, run } = await start({ command: { argv: ['pwd', '-P'] }, cwd })
    expect(await run.exit()).toMatchObject({ code: 0 })
    expect(await runs.text(name, 'stdout')).toBe(`${await realpath(runs.root)}\n`)
  })

  it('reports how the command ended', async () => {
    const { run } = await start({ command: { shell: 'exit 75' } })
    expect(await run.exit()).toMatchObject({ code: 75, signal: null, reason: 'exited' })
    const other = await start({ command: { shell: 'kill -s INT $$; sleep 9' } })
    expect(await other.run.exit()).toMatchObject({ code: null, signal: 'SIGINT' })
  })

  it('says why it could not be started', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'troupe-gone-'))
    await rm(cwd, { recursive: true })
    const nowhere = runs.start('no-cwd', { command: { argv: ['pwd'] }, cwd })
    await expect(nowhere).rejects.toMatchObject({ code: 'not-found' })
    const other = await Runs.create({ argumentsBytesMax: 64 * 1024 * 1024 })
    const argv = Array<string>(100).fill('x'.repeat(100_000))
    // By itself first, then by a launcher that has come up meanwhile.
    for (let round = 0; round < 2; round++) {
      const many = other.start('many', { command: { argv } })
      await expect(many).rejects.toMatchObject({ code: 'too-large' })
      if (round === 0) await launcherOf(other)
    }
    await other.close()
    other.runner.close()
  })
})

describe('a launcher that is killed', () => {
  it('leaves commands alone, and their ends are noticed', async () => {
    const { run, name } = await start({ command: { shell: 'sleep 0.4; echo on; exit 5' } })
    const exit = run.exit()
    await run.whenStarted()
    process.kill(launcher, 'SIGKILL')
    expect(await exit).toMatchObject({ code: 5, reason: 'exited' })
    expect(await runs.text(name, 'stdout')).toBe('on\n')
    expect(await launcherOf(runs)).not.toBe(launcher)
  })

  it('before it answered, has every command run once', async () => {
    process.kill(launcher, 'SIGSTOP')
    const command = { shell: 'echo once; exit 4' }
    let confirmed = 0
    const all = Array.from({ length: 8 }, () => start({ command }))
    for (const one of all) one.then(() => confirmed++)
    await holds(() => confirmed === 0, { forMs: 100 }, 'nothing confirmed by a stopped launcher')
    process.kill(launcher, 'SIGKILL')
    for (const { name, run } of await Promise.all(all)) {
      expect(await run.exit()).toMatchObject({ code: 4, reason: 'exited' })
      expect(await runs.text(name, 'stdout')).toBe('once\n')
    }
  })

  it('or hangs, is ended, and its command started without it', async () => {
    const other = await Runs.create({ launcherAnswerMs: 200 })
    const hanging = await launcherOf(other)
    process.kill(hanging, 'SIGSTOP')
    const run = await other.start('patient', { command: { shell: 'echo once; exit 4' } })
    expect(await run.exit()).toMatchObject({ code: 4, reason: 'exited' })
    expect(await other.text('patient', 'stdout')).toBe('once\n')
    await eventually('its end', async () => !(await lives(hanging)))
    await other.close()
    other.runner.close()
  })

  it('at any moment of many starts, has every command run once', async () => {
    for (let round = 0; round < 5; round++) {
      const now = await launcherOf(runs)
      const command = { shell: 'echo once; exit 4' }
      let confirmed = 0
      const all = Array.from({ length: 12 }, () => start({ command }))
      for (const one of all) one.then(() => confirmed++)
      await eventually('some starts', () => confirmed >= round * 2)
      process.kill(now, 'SIGKILL')
      for (const { name, run } of await Promise.all(all)) {
        expect(await run.exit()).toMatchObject({ code: 4, reason: 'exited' })
        expect(await runs.text(name, 'stdout')).toBe('once\n')
      }
    }
  }, 30_000)
})

describe('a shim whose launcher is gone', () => {
  it('may still claim its directory', async () => {
    const dir = runs.dir('late')
    await mkdir(dir)
    const given = {
      dir,
      startedAt: 1,
      bootId: bootId(),
      groupGraceMs: undefined,
      watchdog: undefined,
      setsidPath: '/usr/bin/setsid',
    }
    const late = [
      '-c',
      `sleep 0.5\n${SHIM_SCRIPT}`,
      ...shimWords(given, ['/bin/sh', '-c', 'exit 4']),
    ]
    spawn('/bin/sh', late, { stdio: 'ignore', detached: true })
    const shim = { pid: 0, gone: Promise.resolve(null), isGone: () => true, unref: () => {} }
    const limits = { ...DEFAULT_PROCESS_LIMITS, attachPollMs: 50 }
    const context = { clock: realClock, log: silentLog, limits }
    const run = new RunningProcess(context, { dir, startedAt: 1 }, shim)
    const exit = run.exit()
    expect(await run.whenStarted()).toBeGreaterThan(1)
    expect(await exit).toMatchObject({ code: 4, reason: 'exited' })
  })
})

describe('a launcher', () => {
  it('that cannot come up is not tried with every command, and none needs it', async () => {
    const program = join(runs.root, 'no-node')
    const tries = join(runs.root, 'tries')
    await writeFile(program, `#!/bin/sh\necho try >>${tries}\nexit 1\n`, { mode: 0o700 })
    const other = await Runs.create()
    const { execPath } = process
    process.execPath = program
    try {
      for (const name of ['first', 'second', 'third']) {
        const run = await other.start(name, { command: { shell: 'exit 6' } })
        expect(await run.exit()).toMatchObject({ code: 6 })
        await eventually('a try', () => existsSync(tries))
        const once = async () => (await readFile(tries, 'utf8')) === 'try\n'
        await holds(once, { forMs: 100 }, 'one try')
      }
    } finally {
      process.execPath = execPath
      await other.close()
    }
    expect(await readFile(tries, 'utf8')).toBe('try\n')
  })

  it('ends when it has no work, and another one comes', async () => {
    const other = await Runs.create({ launcherIdleMs: 300 })
    const first = await launcherOf(other)
    await eventually('the end of the launcher', async () => !(await lives(first)))
    expect(await launcherOf(other)).not.toBe(first)
    await other.close()
    other.runner.close()
  })

  it.each(['ends', 'is killed'])(
    'ends when its node %s, which it does not keep alive',
    async (how) => {
      const names = Array.from({ length: 12 }, (_, index) => `node-${index}`)
      const node = startNode(names, 'grep PPid: /proc/$PPID/status; sleep 0.5; echo end')
      const gone = new Promise((resolve) => node.once('exit', resolve))
      const own = await eventually('a launcher', async () => {
        const texts = await Promise.all(
          names.map((name) => runs.text(name, 'stdout').catch(() => '')),
        )
        const parents = texts.map((text) => Number(/PPid:\s+(\d+)/.exec(text)?.[1] ?? node.pid))
        return parents.find((pid) => pid !== node.pid)
      })
      expect(await lives(own)).toBe(true)
      if (how === 'is killed') node.kill('SIGKILL')
      expect(await gone).toBe(how === 'ends' ? 0 : null)
      await eventually('the end of the launcher', async () => !(await lives(own)))
      for (const name of names) {
        const run = await runs.attach(name)
        if (run === undefined) continue
        expect(await run.exit()).toMatchObject({ code: 0, reason: 'exited' })
        expect(await runs.text(name, 'stdout')).toMatch(/end\n$/)
      }
    },
    30_000,
  )

  function startNode(names: readonly string[], shell: string): ChildProcess {
    const dirs = names.map((name) => runs.dir(name)).join(':')
    const words = [...scriptArguments(join(import.meta.dirname, 'worker.ts')), dirs, shell, '100']
    const cwd = join(import.meta.dirname, '../../..')
    return spawn(process.execPath, words, { cwd, stdio: 'ignore' })
  }
})
