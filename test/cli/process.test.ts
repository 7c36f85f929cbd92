/** `troupe` as a process of its own: start, signals, a user's module, a directory in use. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { scriptArguments } from '../script.ts'
import { until } from '../waiting.ts'
import { run } from './rig.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const START_MS = 20_000

/** A user's file: nothing is installed beside it. */
const LIGHT = `
import { setup } from 'xstate'
import { z } from 'zod'
import { defineMachine } from 'troupe'
import { FIRST } from './first.ts'

const machine = setup({ types: { events: {} as { type: 'NEXT' } } }).createMachine({
  id: 'light',
  initial: FIRST,
  states: { red: { on: { NEXT: 'green' } }, green: { on: { NEXT: 'red' } } },
})
export const light = defineMachine({ machine, events: { NEXT: z.object({}) } })
`

const VERBS = `
import { defineApp } from 'troupe/verbs'
const run = async (call) => {
  call.print('to ' + call.arguments[0] + ' by ' + call.options.app)
  return 7
}
const options = [{ flags: '--app <name>', description: 'its own option' }]
const count = async (call) => {
  for (let n = 1; n <= 20_000; n++) call.print('line ' + n + ' of what somebody reads slowly')
}
const all = { path: ['wave', 'all'], summary: 'waves to everybody', run: count }
const verb = { path: ['wave', 'to'], summary: 'waves to somebody', arguments: '<name>', options, run }
export const app = defineApp({ name: 'waves', verbs: [verb, all] })
`

const TASK = `
import { task } from 'troupe'
export const charge = task({ name: 'charge', run: async () => {} })
`

interface Process {
  child: ChildProcess
  out: string
  err: string
  url: string
}

let folder: string
const children: ChildProcess[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'troupe-user-'))
  await writeFile(join(folder, 'light.ts'), LIGHT)
  await writeFile(join(folder, 'first.ts'), `export const FIRST = 'red' as const\n`)
  await writeFile(
    join(folder, 'app.mjs'),
    `import { defineApp } from 'troupe'\nexport const app = defineApp({ name: 'hello', greeting: async () => ['hello from the app'] })\n`,
  )
  await writeFile(join(folder, 'verbs.mjs'), VERBS)
  await writeFile(join(folder, 'typo.mjs'), `export const app = { name: 'a', machine: [] }\n`)
  await writeFile(join(folder, 'task.mjs'), TASK)
  await writeFile(join(folder, 'none.mjs'), 'export const answer = 42\n')
  await writeFile(join(folder, 'broken.mjs'), 'export const = 1\n')
})
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function launch(...argv: string[]): Process {
  return launchWith({}, ...argv)
}

function launchWith(env: Record<string, string>, ...argv: string[]): Process {
  const child = spawn(process.execPath, [...scriptArguments(MAIN), ...argv], {
    cwd: folder,
    stdio: 'pipe',
    env: { ...process.env, ...env },
  })
  children.push(child)
  const own: Process = { child, out: '', err: '', url: '' }
  child.stdout?.on('data', (chunk: Buffer) => {
    own.out += chunk.toString()
    own.url = /listens on (\S+)/.exec(own.out)?.[1] ?? ''
  })
  child.stderr?.on('data', (chunk: Buffer) => {
    own.err += chunk.toString()
  })
  return own
}

async function serving(...argv: string[]): Promise<Process> {
  const own = launch('start', '--http', '0', ...argv)
  await until(
    () => own.url !== '',
    { timeoutMs: START_MS },
    () => `a node that listens; it said: ${own.out}${own.err}`,
  )
  return own
}

async function ended(own: Process): Promise<number | null> {
  await until(
    () => own.child.exitCode !== null || own.child.signalCode !== null,
    { timeoutMs: START_MS },
    'the process to end',
  )
  return own.child.exitCode
}

it('hosts a machine of a file anywhere, stops on SIGTERM, and goes on after kill -9', async () => {
  const argv = ['--data', 'd1', '--app', 'light.ts', '--app', 'app.mjs']
  const first = await serving(...argv)
  expect(first.out).toMatch(/machines .*light/)
  expect(first.out).toContain(`export TROUPE_HTTP=${first.url}`)
  await until(
    () => first.out.includes('hello from the app'),
    { timeoutMs: START_MS },
    'the greeting',
  )
  expect((await run(['actors', 'start', 'light/1', '--http', first.url])).code).toBe(0)
  expect((await run(['actors', 'send', 'light/1', 'NEXT', '--http', first.url])).out).toContain(
    'green',
  )
  first.child.kill('SIGKILL')
  await ended(first)
  const second = await serving(...argv)
  expect((await run(['actors', 'get', 'light/1', '--http', second.url])).out).toContain(
    'light/1  green',
  )
  second.child.kill('SIGTERM')
  expect(await ended(second)).toBe(0)
})

it('prints one line of JSON under --json', async () => {
  const own = launch('start', '--http', '0', '--data', 'd2', '--name', 'n-7', '--json')
  await until(
    () => own.out.endsWith('\n'),
    { timeoutMs: START_MS },
    () => `its line; it said: ${own.err}`,
  )
  expect(JSON.parse(own.out)).toEqual({
    url: expect.stringMatching(/^http:\/\/127/),
    name: 'n-7',
    data: join(folder, 'd2'),
  })
  own.child.kill('SIGINT')
  expect(await ended(own)).toBe(0)
})

it('prints all that a verb writes, however late it is read', async () => {
  const argv = ['--app', 'verbs.mjs', 'wave', 'all']
  const child = spawn(process.execPath, [...scriptArguments(MAIN), ...argv], { cwd: folder })
  children.push(child)
  const lateMs = performance.now() + 3_000
  // Without a reader a process that does not wait has ended by then.
  const isTime = () => child.exitCode !== null || performance.now() > lateMs
  await until(isTime, { timeoutMs: START_MS }, 'nobody reads')
  let text = ''
  for await (const chunk of child.stdout) text += String(chunk)
  expect(text.split('\n').length).toBe(20_001)
}, 30_000)

it('finds the verbs of --app FILE and TROUPE_APP, with their help and exit codes', async () => {
  const help = launch('--app', 'verbs.mjs', '--help')
  const byFlag = launch('--app=verbs.mjs', 'wave', 'to', 'ann', '--app', 'mine')
  const byEnv = launchWith({ TROUPE_APP: `verbs.mjs:${join(folder, 'app.mjs')}` }, 'wave', '--help')
  expect(await ended(byFlag), byFlag.err).toBe(7)
  expect(byFlag.out).toBe('to ann by mine\n')
  expect(await ended(help)).toBe(0)
  expect(help.out).toMatch(/wave +verbs of the app waves/)
  expect(await ended(byEnv)).toBe(0)
  expect(byEnv.out).toContain('waves to somebody')
})

it('hosts what TROUPE_APP names, once, and prints no token where it is kept', async () => {
  const own = launchWith(
    { TROUPE_APP: 'light.ts' },
    'start',
    '--http',
    '0',
    '--data',
    'd5',
    '--app',
    'light.ts',
  )
  await until(
    () => own.out.includes('Ctrl-C'),
    { timeoutMs: START_MS },
    () => `its greeting; it said: ${own.out}${own.err}`,
  )
  expect(own.out).toMatch(/machines .*light/)
  expect(own.out).toContain('"$(troupe apps token demo')
  expect(own.out + own.err).not.toMatch(/\d{10}[0-9a-f]{32}/)
  // Not for people: each line of its log is JSON.
  for (const line of own.err.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('level')
})

it('stops with exit 1 when another node takes its directory', async () => {
  const first = await serving('--data', 'd3', '--app', 'light.ts')
  const second = await serving('--data', 'd3', '--app', 'light.ts')
  // The first one notices at its next write.
  await run(['actors', 'start', 'light/1', '--http', first.url])
  const code = await Promise.race([ended(first), ended(second)])
  expect(code).toBe(1)
  expect(first.err).toContain('the node stopped by itself')
})

it.each([
  ['typo.mjs', /the app "a" has "machine"; did you mean "machines"\?/],
  ['task.mjs', /exports no app/],
  ['none.mjs', /exports no app\. Wanted is .*it exports: answer/],
  ['broken.mjs', /broken\.mjs: it cannot be loaded: /],
])('refuses the module %s: exit 2', async (file, says) => {
  const own = launch('start', '--http', '0', '--data', 'd4', '--app', file)
  expect(await ended(own)).toBe(2)
  expect(own.err).toMatch(says)
  expect(own.out).toBe('')
})
