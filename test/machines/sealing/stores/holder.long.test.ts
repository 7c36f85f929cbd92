/** A store that a real process holds, until it is killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { holdStore } from '../../../../machines/sealing/stores/index.ts'
import { scriptArguments } from '../../../script.ts'
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

async function otherProcess(): Promise<{ child: ChildProcess; said: string }> {
  const script = join(import.meta.dirname, 'holder-process.ts')
  const child = spawn(process.execPath, [...scriptArguments(script), location], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  let said = ''
  child.stdout?.on('data', (text) => {
    said += String(text)
  })
  await until(() => said.includes('\n'), PATIENT, 'the other process says something')
  return { child, said }
}

it('is refused while another process has it, and taken over once that was killed', async () => {
  const { child, said } = await otherProcess()
  expect(said).toBe('held\n')
  expect(() => holdStore(location)).toThrow(`held by the process ${child.pid}`)
  expect(holder()['pid']).toBe(child.pid)

  child.kill('SIGKILL')
  await until(() => child.signalCode, PATIENT, 'the other process is dead')
  const hold = holdStore(location)
  expect(holder()['pid']).toBe(process.pid)

  hold.release()
  expect(existsSync(holderFile())).toBe(false)
})
