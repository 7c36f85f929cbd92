/** A store that real processes want: one that holds it until it is killed, and two that race for what is left. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { holdStore } from '../../../../machines/sealing/stores/index.ts'
import { systemClock } from '../../../../src/index.ts'
import { scriptArguments } from '../../../script.ts'
import { until } from '../../../waiting.ts'

const PATIENT = { timeoutMs: 30_000 }
const RACES = 50
const children: ChildProcess[] = []
let location: string

beforeEach(() => {
  location = mkdtempSync(join(tmpdir(), 'holder-'))
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(location, { recursive: true, force: true })
})

const clock = systemClock()
const holderFile = () => join(location, 'holder')
const holder = () => JSON.parse(readFileSync(holderFile(), 'utf8')) as Record<string, unknown>

class OtherProcess {
  readonly child: ChildProcess
  #said = ''

  private constructor(args: string[]) {
    const script = join(import.meta.dirname, 'holder-process.ts')
    this.child = spawn(process.execPath, [...scriptArguments(script), location, ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(this.child)
    this.child.stdout?.on('data', (text) => {
      this.#said += String(text)
    })
  }

  static async start(...args: string[]): Promise<{ other: OtherProcess; said: string }> {
    const other = new OtherProcess(args)
    return { other, said: await other.nextLine() }
  }

  tell(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }

  async nextLine(): Promise<string> {
    await until(() => this.#said.includes('\n'), PATIENT, 'the other process says something')
    const end = this.#said.indexOf('\n')
    const line = this.#said.slice(0, end)
    this.#said = this.#said.slice(end + 1)
    return line
  }
}

it('is refused while another process has it, and taken over once that was killed', async () => {
  const { other, said } = await OtherProcess.start()
  const { child } = other
  expect(said).toBe('held')
  expect(() => holdStore(location, { clock })).toThrow(`held by the process ${child.pid}`)
  expect(holder()['pid']).toBe(child.pid)

  child.kill('SIGKILL')
  await until(() => child.signalCode, PATIENT, 'the other process is dead')
  const hold = holdStore(location, { clock })
  expect(holder()['pid']).toBe(process.pid)

  hold.release()
  expect(existsSync(holderFile())).toBe(false)
})

it('of a try on a disk that is full nothing is left', () => {
  const script = scriptArguments(join(import.meta.dirname, 'holder-process.ts'))
  // No file may grow, which is the same to a program.
  const words = ['-c', `trap '' XFSZ; ulimit -f 0; exec "$@"`, 'sh', process.execPath]
  const options = { encoding: 'utf8', timeout: PATIENT.timeoutMs } as const
  const { stdout, stderr } = spawnSync('sh', [...words, ...script, location], options)
  expect(stdout, stderr).toContain('refused: Error: EFBIG')
  expect(readdirSync(location)).toEqual([])
})

it('of two that take over what a dead one left, one wins', async () => {
  const hold = holdStore(location, { clock })
  const dead = { ...holder(), startTicks: 1 }
  hold.release()
  const { other: a } = await OtherProcess.start('commanded')
  const { other: b } = await OtherProcess.start('commanded')
  const winners: (number | undefined)[] = []
  for (let race = 0; race < RACES; race++) {
    writeFileSync(holderFile(), JSON.stringify({ ...dead, id: crypto.randomUUID() }))
    const atMs = Date.now() + 5
    for (const one of [a, b]) one.tell(`take ${atMs}`)
    const said = [await a.nextLine(), await b.nextLine()]
    const winner = [a, b][said.indexOf('held')]?.child.pid
    expect(
      said.filter((line) => line === 'held'),
      said.join(),
    ).toHaveLength(1)
    expect(holder()['pid']).toBe(winner)
    expect(readdirSync(location)).toEqual(['holder'])
    winners.push(winner)
    for (const one of [a, b]) one.tell('release')
    await until(() => !existsSync(holderFile()), PATIENT, 'the winner lets go')
  }
  expect(winners).toHaveLength(RACES)
})
