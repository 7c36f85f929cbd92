/** A node goes away while jobs stand in every state: by an upgrade, and by kill -9. */
import { expect, it } from 'vitest'
import { job } from '../../../machines/jobs/job.ts'
import { nodesOf } from '../../../src/machine/chart.ts'
import { KINDS } from './kinds.ts'
import { restarted } from './restarts.ts'

// Each has a node of its own, and most of it is waiting for what is due.
it.concurrent(
  'an upgrade loses no job, runs none twice, and delays none by more than it takes',
  () => restarted({ count: 4, intervalS: 8, runS: 8, signals: ['SIGTERM'], slackMs: 5_000 }),
  120_000,
)

it.concurrent(
  'so does kill -9, twice',
  () =>
    restarted({ count: 3, intervalS: 8, runS: 8, signals: ['SIGKILL', 'SIGKILL'], slackMs: 5_000 }),
  120_000,
)

it('every state of the chart is one that jobs stand in', () => {
  const atomic = nodesOf(job.machine.root).filter(
    ({ type }) => type === 'atomic' || type === 'final',
  )
  const stood = new Set(Object.values(KINDS).map(({ stands }) => stands.split(' ')[0]))
  expect(atomic.map(({ path }) => path.join('.')).filter((path) => !stood.has(path))).toEqual([])
})
