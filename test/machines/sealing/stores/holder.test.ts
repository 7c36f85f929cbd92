/** A store has one worker, which lives; what a dead one left is nobody's. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { holdStore } from '../../../../machines/sealing/stores/index.ts'
import { until } from '../../../waiting.ts'

const PATIENT = { timeoutMs: 30_000 }
const children: ChildProcess[] = []
let location: string

beforeEach(() => {
  location = mkdtempSync(join(tmpdir(), 'holder-'))
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(location, { recursive: true, force: true })
})

const holderFile = () => join(location, 'holder')
const holder = () => JSON.parse(readFileSync(holderFile(), 'utf8')) as Record<string, unknown>

/** As another worker leaves its record, which `holder.long.test.ts` has a real one do. */
function holdAs({ pid = 0 }: ChildProcess): void {
  const hold = holdStore(location)
  const { bootId } = holder()
  hold.release()
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const startTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  writeFileSync(holderFile(), JSON.stringify({ pid, startTicks, bootId }))
}

it('is refused while another process has it, and taken over once that was killed', async () => {
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  children.push(child)
  holdAs(child)
  expect(() => holdStore(location)).toThrow(`held by the process ${child.pid}`)
  expect(holder()['pid']).toBe(child.pid)

  child.kill('SIGKILL')
  await until(() => child.signalCode, PATIENT, 'the other process is dead')
  const hold = holdStore(location)
  expect(holder()['pid']).toBe(process.pid)

  hold.release()
  expect(existsSync(holderFile())).toBe(false)
})

it('a pid that was given out again holds nothing', () => {
  const hold = holdStore(location)
  const mine = holder()
  hold.release()
  writeFileSync(holderFile(), JSON.stringify({ ...mine, startTicks: 1 }))
  holdStore(location).release()
  writeFileSync(holderFile(), JSON.stringify({ ...mine, bootId: 'another' }))
  holdStore(location).release()
  writeFileSync(holderFile(), 'cut of')
  holdStore(location).release()
})

it('this process has it once, and does not let go of what has become of another', () => {
  const hold = holdStore(location)
  expect(() => holdStore(location)).toThrow('is held by the process')
  writeFileSync(holderFile(), JSON.stringify({ pid: 1, startTicks: 1, bootId: 'x' }))
  hold.release()
  expect(existsSync(holderFile())).toBe(true)
})
