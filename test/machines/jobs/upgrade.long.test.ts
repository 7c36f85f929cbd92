/** An upgrade with a thousand jobs, in every state; and the same with kill -9. */
import { it } from 'vitest'
import { restarted } from './restarts.ts'

/** Of each of twelve kinds; eighty-four commands fall due together. */
const MANY = { count: 84, intervalS: 90, runS: 60, slackMs: 15_000 }

it('an upgrade loses none of 1,008 jobs, runs none twice, and delays none by more than it takes', () =>
  restarted({ ...MANY, signals: ['SIGTERM'] }))

it('so does kill -9, which loses nothing that was acknowledged', () =>
  restarted({ ...MANY, signals: ['SIGKILL'] }))
