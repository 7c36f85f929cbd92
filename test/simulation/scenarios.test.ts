/**
 * The stories of scenarios/: each ends as it says, breaks no promise, and gives the trace beside it.
 * `TROUPE_WRITE_SCENARIOS=1` writes the traces anew.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { BUGS } from './bug-list.ts'
import { partsOf } from './bugs.ts'
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

/** Of each pair, the story is told of a world that lacks one rule. */
it.each([
  ['late-write-is-its-own', 'give up an unknown write as if it had failed'],
  ['bad-input-changes-nothing', 'accept bad input'],
  ['callback-begins-anew', 'do not begin callbacks anew at a takeover'],
  ['clock-jumps-back', 'fire a timer early'],
  ['deposed-owner-answers-no-read', 'answer a read without asking the journal'],
  ['freeze-between-check-and-write', 'drop the create-only check'],
  ['full-disk-ends-the-node', 'reply before flush'],
  ['parked-and-resumed', 'lose an actor that fails'],
  ['paused-actor-keeps-its-timer', 'ignore the pause'],
  ['power-failure-of-an-embedded-node', 'embedded: reply before flush'],
  ['replies-are-cut-off', 'do not look for the dedupe record'],
  ['rolling-upgrade', 'migrate twice'],
  ['second-process-on-a-directory', 'embedded: commit whoever owns the directory'],
  ['task-is-delivered-twice', 'start a held task'],
  ['timer-survives-its-owner', 'forget timers at a takeover'],
  ['two-claims-one-winner', 'take a refused claim for a won one'],
  ['zombie-worker-is-refused', 'accept a stale token'],
])('%s goes another way with the bug: %s', async (name, bugName) => {
  const bug = BUGS.find((one) => one.name === bugName)!
  const text = readFileSync(new URL(`${name}.txt`, FOLDER), 'utf8')
  expect(tell(text, await partsOf(bug)).problems).not.toEqual([])
})

it('there are stories', () => {
  expect(names.length).toBeGreaterThan(30)
})

it('a story that does not end as it says is told so', () => {
  const { problems } = tell(
    'take n1\nadvance 50\nexpect owner n2\nfly n1\ntake n9\nagain what\nstart flat/a as one\nadvance 50\nexpect one parked',
  )
  expect(problems).toEqual([
    'line 3: expect owner n2: it is n1',
    'line 4: fly n1: nobody knows how to fly',
    'line 5: take n9: there is no node n9',
    'line 6: again what: there is no command what',
    'line 9: expect one parked: it was answered ok',
  ])
})

it.each([
  ['worker w9 starts', 'there is no worker w9'],
  ['worker w1 flies', 'no worker flies'],
  ['hold n1', 'n1 is down'],
  ['expect seen flat/a adds 1', 'it is undefined'],
  ['expect state flat/a on', 'it is undefined'],
])('%s: %s', (line, problem) => {
  expect(tell(line).problems).toEqual([`line 1: ${line}: ${problem}`])
})
