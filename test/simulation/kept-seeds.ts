/** The seeds that once failed, and how each is run. */
import { readFileSync } from 'node:fs'
import { runSeed, type SeedResult } from './run.ts'

/** A seed and what belongs to its name, each. */
export function seedsThatFailed(): string[] {
  const text = readFileSync(new URL('./seeds.txt', import.meta.url), 'utf8')
  return text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}

export function runKept(line: string, virtualMs: number): SeedResult {
  const [seed, name = ''] = line.split(' ')
  const [logic, ...more] = name.split('+')
  if (logic !== 'oracle' && logic !== 'cluster') throw new Error(`no logic: ${line}`)
  const has = (word: string) => more.includes(word)
  const how = { busy: has('busy'), losses: has('losses'), charts: has('charts') }
  return runSeed({ seed: Number(seed), given: { logic, ...how }, virtualMs })
}
