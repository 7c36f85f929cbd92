/** A process that writes is killed, again and again: what it said to be done is done. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { afterEach, expect, inject, it } from 'vitest'
import { Outcomes, outcomeOf } from './outcomes.ts'
import { newDirectory, openDisk, randomOf, VUID } from './rig.ts'

const ROUNDS = 3
const children: ChildProcess[] = []

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
})

it('keeps what was acknowledged through kill -9', { timeout: 180_000 }, async () => {
  const seed = inject('seed')
  const random = randomOf(seed)
  const directory = newDirectory()
  const outcomes = new Outcomes()
  let acknowledged = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const lines = await writeAndKill(directory, seed + round, 50 + Math.floor(random() * 400))
    for (const line of lines) acknowledged += note(outcomes, line)
    const disk = await openDisk(directory)
    expect(disk.statChunk(VUID).damagedBytes).toBe(0)
    for (const bid of outcomes.bids) {
      const outcome = await outcomeOf(disk, VUID, bid)
      expect(outcomes.allowed(bid), `seed ${seed}, round ${round}, shard ${bid}`).toContain(outcome)
      // What was begun is over, one way or the other.
      outcomes.begin(bid, outcome)
      outcomes.end(bid, true)
    }
    await disk.close()
  }
  expect(acknowledged).toBeGreaterThan(100)
})

/** Everything it said, whole lines, until it was killed after so many. */
async function writeAndKill(directory: string, seed: number, linesMax: number): Promise<string[]> {
  const program = new URL('writer-process.ts', import.meta.url).pathname
  const child = spawn(process.execPath, ['--import', 'tsx', program, directory, `${seed}`, '4'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines: string[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => {
    lines.push(line)
    if (lines.length === linesMax) child.kill('SIGKILL')
  })
  await Promise.all([once(child, 'exit'), once(reader, 'close')])
  expect(child.signalCode).toBe('SIGKILL')
  return lines
}

/** @returns 1 when it acknowledges something */
function note(outcomes: Outcomes, line: string): number {
  const [first = '', ...rest] = line.split(' ')
  const isMark = first === '?' || first === '!'
  const [kind, bid = '0', size = '', version = ''] = isMark ? rest : [first, ...rest]
  if (kind === 'ready' || kind === undefined) return 0
  if (first === '?') {
    const written = `${size}/${size === '0' ? 0 : version}`
    outcomes.begin(BigInt(bid), kind === 'put' ? written : kind === 'mark' ? 'marked' : 'deleted')
    return 0
  }
  outcomes.end(BigInt(bid), first !== '!')
  return first === '!' ? 0 : 1
}
