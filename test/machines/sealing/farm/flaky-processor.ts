/**
 * A processor that does the reference work, and fails, hangs and dies at the rates that it is given. It
 * notes every request before it begins and every fault before it happens, so that a test can say which
 * steps had to run again. Decides: what counts as a fault. Its words: stage, file of notes, seed, rates.
 */
import { appendFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { PassThrough } from 'node:stream'
import { runProcessor } from '../../../../machines/sealing/prover/index.ts'

export interface Rates {
  fail: number
  hang: number
  die: number
}

interface Request {
  id?: number
  task?: Record<string, unknown>
}

const [stage = '', notes = '', seed = '0', rates = '{}'] = process.argv.slice(2)
const { fail = 0, hang = 0, die = 0 } = JSON.parse(rates) as Partial<Rates>

/** Small, and enough for rates: xorshift. */
let state = (Number(seed) ^ (process.pid * 2_654_435_761)) >>> 0 || 1
function draw(): number {
  state ^= state << 13
  state ^= state >>> 17
  state ^= state << 5
  state >>>= 0
  return state / 2 ** 32
}

function note(kind: string, task: Record<string, unknown> | undefined): void {
  appendFileSync(
    notes,
    `${JSON.stringify({ kind, stage, path: pathOf(task), pid: process.pid })}\n`,
  )
}

/** A path of the task: it has the sector's name in it. */
function pathOf(task: Record<string, unknown> | undefined): string {
  const text = JSON.stringify(task ?? {})
  return /s-t0\d+-\d+/.exec(text)?.[0] ?? ''
}

function pass(line: string, input: PassThrough): void {
  const { id, task } = JSON.parse(line) as Request
  if (task === undefined) {
    input.write(`${line}\n`)
    return
  }
  note('run', task)
  const dice = draw()
  if (dice < fail) {
    note('fail', task)
    process.stdout.write(
      `${JSON.stringify({ id, err_msg: 'the test makes it fail', output: null })}\n`,
    )
  } else if (dice < fail + hang) note('hang', task)
  else if (dice < fail + hang + die) {
    note('die', task)
    process.exit(9)
  } else input.write(`${line}\n`)
}

const input = new PassThrough()
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => pass(line, input))
lines.on('close', () => input.end())
await runProcessor(stage, input, process.stdout)
process.exit(0)
