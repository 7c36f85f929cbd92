/**
 * The stories of scenarios/: each ends as it says, breaks no promise, and gives the trace beside it.
 * `TROUPE_WRITE_SCENARIOS=1` writes the traces anew.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { tell } from './scenario.ts'

const FOLDER = new URL('./scenarios/', import.meta.url)
const names = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.txt'))
  .map((file) => file.slice(0, -4))

it.each(names)('%s', (name) => {
  const { trace, problems } = tell(readFileSync(new URL(`${name}.txt`, FOLDER), 'utf8'))
  const path = new URL(`${name}.trace`, FOLDER)
  expect(problems).toEqual([])
  if (process.env['TROUPE_WRITE_SCENARIOS'] === '1') writeFileSync(path, trace)
  expect(existsSync(path), 'write it with TROUPE_WRITE_SCENARIOS=1').toBe(true)
  expect(trace).toBe(readFileSync(path, 'utf8'))
})

it('there are stories', () => {
  expect(names.length).toBeGreaterThan(10)
})
