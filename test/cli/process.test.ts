/** `troupe` as a process of its own: start, signals, a user's module, a directory in use. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { until } from '../waiting.ts'
import { run } from './rig.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const TSX = import.meta.resolve('tsx')
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
  const child = spawn(process.execPath, ['--import', TSX, MAIN, ...argv], {
    cwd: folder,
    stdio: 'pipe',
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
  ['none.mjs', /exports no app\. Wanted is .*it exports: answer/],
  ['broken.mjs', /broken\.mjs: it cannot be loaded: /],
])('refuses the module %s: exit 2', async (file, says) => {
  const own = launch('start', '--http', '0', '--data', 'd4', '--app', file)
  expect(await ended(own)).toBe(2)
  expect(own.err).toMatch(says)
  expect(own.out).toBe('')
})
