/** What a command is, sees and returns: arguments, environment, exit codes and signals. */
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { ProcessRunner, type ProcessSpec } from '../../../src/worker/process/index.ts'
import { realClock, silentLog } from './real-time.ts'
import { Runs } from './runs.ts'

let runs: Runs
let count = 0
beforeAll(async () => {
  runs = await Runs.create()
})
afterAll(() => runs.close())

async function run(spec: ProcessSpec) {
  const name = `run-${count++}`
  const exit = await (await runs.start(name, spec)).exit()
  return {
    exit,
    dir: runs.dir(name),
    stdout: await runs.text(name, 'stdout'),
    stderr: await runs.text(name, 'stderr'),
  }
}

describe('status', () => {
  it.each([0, 1, 3, 75, 76, 126, 127, 137, 143, 255])('reports exit code %i', async (code) => {
    const { exit } = await run({ command: { shell: `exit ${code}` } })
    expect(exit).toMatchObject({ code, signal: null, reason: 'exited' })
    expect(exit.endedAt).toBeGreaterThanOrEqual(exit.startedAt)
    expect(Math.abs(Date.now() - exit.endedAt)).toBeLessThan(60_000)
  })

  it.each(['SIGKILL', 'SIGTERM', 'SIGINT', 'SIGHUP', 'SIGSEGV', 'SIGPIPE', 'SIGQUIT'])(
    'reports %s',
    async (signal) => {
      const shell = `ulimit -c 0; kill -s ${signal.slice(3)} $$; while :; do :; done`
      const { exit } = await run({ command: { shell } })
      expect(exit).toMatchObject({ code: null, signal, reason: 'exited' })
    },
  )

  it('reports a program that is not there as 127, with the reason in stderr', async () => {
    const { exit, stderr } = await run({ command: { argv: ['/nowhere/program'] } })
    expect(exit.code).toBe(127)
    expect(stderr).toContain('/nowhere/program')
  })

  it('keeps the streams apart and reads nothing from stdin', async () => {
    const { stdout, stderr } = await run({ command: { shell: 'cat; echo out; echo err >&2' } })
    expect([stdout, stderr]).toEqual(['out\n', 'err\n'])
  })
})

describe('arguments', () => {
  it('reach the program as they are', async () => {
    const words = [
      'a b',
      '$(echo x)',
      '`id`',
      "it's",
      '"q"',
      'line\nbreak',
      '',
      '*',
      '-n',
      '\\',
      'ü…🙂',
      '%s',
    ]
    const { stdout } = await run({ command: { argv: ['printf', '<%s>', ...words] } })
    expect(stdout).toBe(words.map((word) => `<${word}>`).join(''))
  })

  it('may name a program that looks like an option', async () => {
    const { exit } = await run({ command: { argv: ['--version'] } })
    expect(exit.code).toBe(127)
  })

  it('may be a shell command that looks like an option, or has several lines', async () => {
    const { stdout } = await run({
      command: { shell: '-x 2>/dev/null\necho "$0 $#" \'$HOME\' | cat' },
    })
    expect(stdout).toBe('/bin/sh 0 $HOME\n')
  })

  it('may be a shell command larger than one argument can be', async () => {
    const line = `: ${'x'.repeat(1_000)}\n`
    const { stdout, exit } = await run({ command: { shell: `${line.repeat(300)}echo done` } })
    expect([stdout, exit.code]).toEqual(['done\n', 0])
  })

  it('are refused when they cannot be run as they are', async () => {
    const refuse = (spec: ProcessSpec, code: string) =>
      expect(runs.start('refused', spec)).rejects.toMatchObject({ code })
    await refuse({ command: { argv: [] } }, 'malformed')
    await refuse({ command: { argv: ['a\0b'] } }, 'malformed')
    await refuse({ command: { shell: 'a\0b' } }, 'malformed')
    await refuse({ command: { argv: ['a', 'x'.repeat(128 * 1024)] } }, 'too-large')
    await refuse({ command: { argv: Array(9).fill('x'.repeat(100_000)) } }, 'too-large')
    await refuse({ command: { shell: 'x'.repeat(1024 * 1024 + 1) } }, 'too-large')
    await refuse({ command: { shell: 'true' }, env: { 'a-b': '1' } }, 'malformed')
    await refuse({ command: { shell: 'true' }, env: { __t_code: '1' } }, 'malformed')
    await refuse({ command: { shell: 'true' }, env: { IFS: 'x' } }, 'malformed')
    await refuse({ command: { shell: 'true' }, orphanMs: 1_000 }, 'malformed')
    await refuse({ command: { shell: 'true' }, orphanMs: 1, heartbeatFile: '/x' }, 'malformed')
    expect(await runs.attach('refused')).toBeUndefined()
  })
})

describe('environment', () => {
  it('holds nothing of the node but the clean base', async () => {
    process.env.TROUPE_TEST_SECRET = 'hunter2'
    const other = new ProcessRunner({ clock: realClock, log: silentLog })
    const dir = runs.dir('secret')
    await (await other.start(dir, { command: { argv: ['env'] }, env: { line: 'a\nb c' } })).exit()
    delete process.env.TROUPE_TEST_SECRET
    const text = await runs.text('secret', 'stdout')
    expect(text).not.toContain('hunter2')
    expect(text).toContain('line=a\nb c\n')
    expect(text).toMatch(/^PATH=/m)
    expect(text).toContain(`TROUPE_RUN=${dir}\n`)
  })

  it('can be replaced as a whole', async () => {
    const { stdout, dir } = await run({
      command: { argv: ['/usr/bin/env'] },
      env: { ONLY: 'this', PATH: '/nowhere' },
      envBase: 'empty',
    })
    const names = stdout
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith('PWD='))
      .sort()
    expect(names).toEqual(['ONLY=this', 'PATH=/nowhere', `TROUPE_RUN=${dir}`])
  })
})

describe('surroundings', () => {
  it('runs in the directory that is asked for, and refuses one that is not there', async () => {
    const cwd = await mkdtemp(join(tmpdir(), 'troupe cwd '))
    const { stdout } = await run({ command: { argv: ['pwd'] }, cwd })
    expect(stdout).toBe(`${cwd}\n`)
    await rm(cwd, { recursive: true })
    const again = runs.start('no-cwd', { command: { argv: ['pwd'] }, cwd })
    await expect(again).rejects.toMatchObject({ code: 'not-found' })
  })

  it('leads its own session, apart from the shim, which holds no descriptor of the node', async () => {
    const held = await runs.start('held', { command: { argv: ['sleep', '60'] } })
    const pid = (await held.whenStarted()) ?? 0
    const [shim] = (await runs.text('held', 'claim')).split(' ')
    const names = await readdir(`/proc/${shim}/fd`)
    const links = await Promise.all(
      names.map(async (name) => `${name} ${await readlink(`/proc/${shim}/fd/${name}`)}`),
    )
    expect(links.join()).not.toContain('socket:')
    // Above 9 are those that the test runner was itself started with.
    expect(links.filter((link) => /^\d /.test(link)).sort()).toEqual([
      '0 /dev/null',
      '1 /dev/null',
      `2 ${held.dir}/shim`,
    ])
    await held.kill({ graceMs: 0 })
    expect(pid).not.toBe(Number(shim))
    expect(await held.exit()).toMatchObject({ signal: 'SIGTERM', reason: 'killed' })
  })
})
