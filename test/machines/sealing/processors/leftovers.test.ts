/** A daemon is killed: its children go on until the next daemon, which ends them and no others. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { scriptArguments } from '../../../script.ts'
import { holds, until } from '../../../waiting.ts'
import { CHILD, child, isRunning, kindOf, Rig, sizeOf } from './rig.ts'

const PATIENT = { timeoutMs: 60_000 }
const ENTRY = 'child.pc1.0.child.json'
const PROOF = 'p'.repeat(36)
const BOOT_ID = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
let rig: Rig
let ended: (() => unknown)[]

beforeEach(() => {
  rig = new Rig()
  ended = []
})
afterEach(async () => {
  for (const end of ended) end()
  await rig.close()
})

/** A daemon whose child writes into `file` for ever. */
async function daemon(file: string): Promise<ChildProcess> {
  const script = join(import.meta.dirname, 'daemon-process.ts')
  const args = [...scriptArguments(script), rig.ledgerDirectory, CHILD, file]
  const process = spawn(globalThis.process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  ended.push(() => process.kill('SIGKILL'))
  let said = ''
  process.stdout?.on('data', (text) => {
    said += String(text)
  })
  await until(
    () => said.includes('working'),
    PATIENT,
    () => `the daemon works, not "${said}"`,
  )
  return process
}

function entryOf(): { child: { pid: number } } {
  return JSON.parse(readFileSync(join(rig.ledgerDirectory, ENTRY), 'utf8'))
}

it('children of a daemon that lives are left alone, and ended once it was killed', async () => {
  const file = rig.path('sealed')
  const killed = await daemon(file)
  const { pid } = entryOf().child
  ended.push(() => isRunning(pid) && process.kill(pid, 'SIGKILL'))
  const beside = rig.open({ pc1: [child('pc1')] })
  beside.registerInner('c1', async () => 'done')
  await expect(beside.start()).rejects.toMatchObject({ code: 'conflict' })
  expect(await kindOf(beside.run('c1', {}, { key: 'store1' }))).toBe('unhealthy')

  killed.kill('SIGKILL')
  await until(() => killed.signalCode, PATIENT, 'the daemon is dead')
  const bytes = sizeOf(file)
  await until(() => sizeOf(file) > bytes, PATIENT, 'its child goes on')
  const processors = rig.open({ pc2: [child('pc2')] })
  await processors.start()
  expect(isRunning(pid)).toBe(false)
  const left = sizeOf(file)
  expect(await processors.run('pc2', { do: 'echo', value: 1 }, { key: 'store1' })).toBe(1)
  expect(sizeOf(file)).toBe(left)
  expect(readdirSync(rig.ledgerDirectory)).toEqual(['child.pc2.0.child.json'])
})

it('kills nobody who only has the pid of a child', async () => {
  const { pid } = stranger()
  const { startTicks } = markOf(pid)
  // A pid that was given out again, a process of another boot, and a file that nobody wrote.
  write(ENTRY, { child: { ...markOf(pid), startTicks: startTicks - 1 } })
  write('child.pc1.1.child.json', { child: { ...markOf(pid), bootId: 'other' } })
  writeFileSync(join(rig.ledgerDirectory, 'child.pc1.2.child.json'), 'torn')
  await rig.open({}).start()
  await holds(() => isRunning(pid), { forMs: 50 }, 'the stranger lives')
  expect(readdirSync(rig.ledgerDirectory)).toEqual(['child.pc1.2.child.json'])
})

it('removes no directory but that of a control group', async () => {
  mkdirSync(rig.path('precious'))
  write(ENTRY, { cgroup: rig.path('precious') })
  mkdirSync(rig.path('sys/fs/cgroup/cpuset/vc-worker'), { recursive: true })
  write('child.pc1.1.child.json', { cgroup: rig.path('sys/fs/cgroup/cpuset/vc-worker') })
  await rig.open({}, { sysRoot: rig.path('sys') }).start()
  expect(existsSync(rig.path('precious'))).toBe(true)
  expect(existsSync(rig.path('sys/fs/cgroup/cpuset/vc-worker'))).toBe(false)
})

it('begins nothing inside the daemon and calls nothing quiet before what is left is gone', async () => {
  const { pid } = stranger()
  write(ENTRY, { child: markOf(pid) })
  const processors = rig.open({})
  const begun: unknown[] = []
  processors.registerInner('c1', async (task) => {
    begun.push(task)
    return isRunning(pid)
  })
  const cancel = new AbortController()
  const started = processors.start()
  const quiet = processors.quiet('store3').then(() => isRunning(pid))
  const cancelled = processors.run('c1', 1, { key: 'store1', signal: cancel.signal })
  const run = processors.run('c1', 2, { key: 'store2' })
  cancel.abort()
  expect(await kindOf(cancelled)).toBe('cancelled')
  expect([await run, await quiet]).toEqual([false, false])
  expect(begun).toEqual([2])
  await started
})

it.each([
  ['ends what a child left in its group though the child itself is gone', PROOF, false],
  ['leaves a group alone that cannot be proved ours', 'somebody else', true],
])('%s', async (_, variable, goesOn) => {
  const file = rig.path('sealed')
  const text = JSON.stringify(file)
  const script = `setInterval(() => require('node:fs').appendFileSync(${text}, '.'), 5)`
  // The leader starts a process, waits until it writes, and exits.
  const words = '"$1" -e "$2" & echo $! > "$3.pid"; while ! [ -s "$3" ]; do sleep 0.01; done'
  const args = ['-c', words, 'sh', process.execPath, script, file]
  const env = { ...process.env, SEALING_PROCESSOR: variable }
  const leader = spawn('/bin/sh', args, { detached: true, stdio: 'ignore', env })
  const mark = markOf(leader.pid!)
  await until(() => leader.exitCode !== null, PATIENT, 'the leader is gone')
  const pid = Number(readFileSync(`${file}.pid`, 'utf8'))
  ended.push(() => isRunning(pid) && process.kill(pid, 'SIGKILL'))
  write(ENTRY, { child: mark })
  await rig.open({}).start()
  expect(isRunning(pid)).toBe(goesOn)
  expect(readdirSync(rig.ledgerDirectory)).toEqual([])
})

/** A process that leads a group. */
function stranger(): { pid: number } {
  const process = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
  ended.push(() => process.kill('SIGKILL'))
  return { pid: process.pid! }
}

/** An entry of a daemon that is gone. */
function write(name: string, given: object): void {
  const gone = { pid: 4_000_000, startTicks: 1, bootId: BOOT_ID }
  const entry = { lane: 'child.pc1.0', child: gone, proof: PROOF, cgroup: null, daemon: gone }
  mkdirSync(rig.ledgerDirectory, { recursive: true })
  writeFileSync(join(rig.ledgerDirectory, name), JSON.stringify({ ...entry, ...given }))
}

function markOf(pid: number): { pid: number; startTicks: number; bootId: string } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const startTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  return { pid, startTicks, bootId: BOOT_ID }
}
