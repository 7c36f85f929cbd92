/** `troupe sealing daemon` as a process of its own: killed in the middle of a step, started again, drained. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { run } from '../../../cli/rig.ts'
import { scriptArguments } from '../../../script.ts'
import { until } from '../../../waiting.ts'
import { isRunning } from '../processors/rig.ts'
import { FakeManager } from './fake-manager.ts'
import { sealingApps } from './sealing-apps.ts'

const SCRIPT = join(import.meta.dirname, 'sealing-main.ts')
const PATIENCE = { timeoutMs: 120_000, every: 100 }
/** Notes each task; the first is never answered. It stays when nobody writes to it any more. */
const PROCESSOR = `
const { appendFileSync, readFileSync } = require('node:fs')
const file = process.argv[1]
setInterval(() => {}, 1000)
process.stdout.write('c2 processor ready\\n')
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  appendFileSync(file, process.pid + '\\n')
  if (readFileSync(file, 'utf8').split('\\n').length === 2) return
  const output = { proof: [1, 2, 3] }
  process.stdout.write(JSON.stringify({ id: JSON.parse(line).id, err_msg: null, output }) + '\\n')
})`
let directory: string
let tasks: string
let file: string
let manager: FakeManager
let child: ChildProcess | undefined
let output = ''

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-daemon-process-'))
  file = join(directory, 'worker.toml')
  tasks = join(directory, 'tasks')
  mkdirSync(join(directory, 'long'))
  manager = await FakeManager.start()
})

afterEach(async () => {
  await ended('SIGKILL')
  for (const pid of taskPids().filter(isRunning)) process.kill(pid, 'SIGKILL')
  await manager.stop()
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
})

function write(port: number): void {
  writeFileSync(
    file,
    `
[worker]
name = "w1"
rpc_server.port = ${port}
[sector_manager]
rpc_client.addr = "${manager.url}"
rpc_client.headers = { Authorization = "Bearer hidden" }
[sealing]
recover_interval = "200ms"
rpc_polling_interval = "200ms"
[[attached]]
name = "long"
location = "${join(directory, 'long')}"
[[sealing_thread]]
location = "${join(directory, 'a')}"
[[processors.c2]]
bin = "${process.execPath}"
args = ["-e", ${JSON.stringify(PROCESSOR)}, "${tasks}"]
[troupe]
data = "${join(directory, 'data')}"
`,
  )
}

/** The processes that were given a task, in order. */
function taskPids(): number[] {
  if (!existsSync(tasks)) return []
  return readFileSync(tasks, 'utf8').trimEnd().split('\n').map(Number)
}

/** @returns the port of its interface */
async function begin(): Promise<number> {
  output = ''
  const words = ['sealing', 'daemon', '-c', file, '--json', '--log-level', 'warn']
  child = spawn(process.execPath, [...scriptArguments(SCRIPT), ...words], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const rpc = await until(
    () => /"rpc":"127\.0\.0\.1:(\d+)"/.exec(output)?.[1],
    PATIENCE,
    () => output,
  )
  return Number(rpc)
}

async function ended(signal?: NodeJS.Signals): Promise<number | string | null> {
  const process = child
  if (process === undefined) return null
  child = undefined
  const closed = new Promise<number | string | null>((resolve) => {
    if (process.exitCode !== null || process.signalCode !== null)
      resolve(process.exitCode ?? process.signalCode)
    process.once('close', (code, killed) => resolve(code ?? killed))
  })
  if (signal !== undefined) process.kill(signal)
  return closed
}

const troupe = (...words: string[]) => run(['sealing', ...words], { apps: sealingApps })
const worker = (...words: string[]) => troupe('worker', '-c', file, ...words)

it('goes on after a kill in the middle of a step, and ends when it is drained', async () => {
  manager.sectors = 1
  write(0)
  write(await begin())
  const [first = 0] = await until(
    () => (taskPids().length > 0 ? taskPids() : undefined),
    PATIENCE,
    () => output,
  )
  expect((await worker('list')).out).toMatch(/#0 +a-[0-9a-f]{6} +sealer +s-t01000-1 +C1Done/)
  expect(await ended('SIGKILL')).toBe('SIGKILL')
  await begin()
  await until(
    () => manager.count('ReportFinalized') === 1,
    PATIENCE,
    () => output,
  )
  // Whoever was left is gone, and only the step that was cut ran twice.
  expect(isRunning(first)).toBe(false)
  expect(taskPids()).toHaveLength(2)
  for (const method of ['SubmitPreCommit', 'AssignTicket', 'WaitSeed', 'SubmitProof'])
    expect([method, manager.count(method)]).toEqual([method, 1])
  const drained = await worker('drain', '--wait')
  expect(drained).toMatchObject({
    code: 0,
    out: 'the worker is drained and has ended; started again it works again\n',
  })
  expect(await ended()).toBe(0)
})

it('ends with 0 when a signal ends it', async () => {
  write(0)
  const interrupt = new AbortController()
  const ran = await run(['sealing', 'daemon', '-c', file, '--log-level', 'silent'], {
    ...{ apps: sealingApps, interrupt: interrupt.signal },
    onOut: () => interrupt.abort(),
  })
  expect(ran).toMatchObject({
    code: 0,
    out: expect.stringContaining('sealing worker w1: 1 threads'),
  })
})

it('only checks a file when it is asked to, and shows no secret', async () => {
  write(17_890)
  const shown = await troupe('daemon', '-c', file, '--check')
  expect(shown.code).toBe(0)
  expect(shown.out).toContain('"Authorization": "***"')
  expect(shown.out).not.toContain('hidden')
  writeFileSync(file, '[sealing]\nmax_retires = 1\n')
  const refused = await troupe('daemon', '-c', file, '--check')
  expect(refused.code).toBe(2)
  expect(refused.err).toContain('did you mean "max_retries"?')
})
