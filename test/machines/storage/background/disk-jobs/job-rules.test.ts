/** What a job does next, by what a look found. */
import { describe, expect, it } from 'vitest'
import {
  FIRST_ROUND,
  type JobRecord,
  newJob,
  progressOf,
} from '../../../../../machines/storage/background/disk-jobs/job-record.ts'
import {
  afterLook,
  type Looked,
  moveEnded,
  renewed,
} from '../../../../../machines/storage/background/disk-jobs/job-rules.ts'

const JOB: JobRecord = { ...newJob({ diskId: 7 }), isOn: true, total: 9, left: 9 }
const THROUGH = { ...FIRST_ROUND, pass: 'all' as const, isThrough: true }
const LOOKED: Looked = {
  ...{ at: 1_000, checkMs: 5_000, limit: 2, over: null, trouble: null, added: [], gone: [] },
  ...{ still: [], bytes: 0, counted: [], left: 9, round: FIRST_ROUND },
}
const move = (taskId: string) => ({ taskId, vuid: 1n, isStill: false })
const looked = (job: JobRecord, found: Partial<Looked>) => afterLook(job, { ...LOOKED, ...found })

describe('after a look', () => {
  it('it goes on while there are places and lines', () => {
    expect(looked(JOB, { added: [move('a')] }).next).toBe('generating')
    expect(looked(JOB, { added: [move('a'), move('b')] }).next).toBe('migrating')
    expect(looked({ ...JOB, isOn: false }, { added: [move('a')] }).next).toBe('migrating')
    expect(looked(JOB, { added: [move('a')], round: THROUGH }).next).toBe('migrating')
  })

  it('an empty disk is finished when nothing moves any more', () => {
    expect(looked(JOB, { left: 0 }).next).toBe('finishing')
    expect(looked({ ...JOB, live: [move('a')] }, { left: 0, round: THROUGH }).next).toBe(
      'migrating',
    )
  })

  it('a move that ended before its beginning was written down is none that is awaited', () => {
    const job = moveEnded(JOB, 'a')
    expect(job).toMatchObject({ early: ['a'] })
    const { job: next } = looked(job, { added: [move('a'), move('b')] })
    expect(next.live.map(({ taskId }) => taskId)).toEqual(['b'])
    expect(next).toMatchObject({ early: [], ended: ['a'] })
  })

  it('one that stands still takes no place', () => {
    const job = { ...JOB, live: [move('a'), move('b')] }
    expect(looked(job, {}).next).toBe('migrating')
    const { next, job: stuck } = looked(job, { still: ['a'] })
    expect(next).toBe('generating')
    expect(progressOf(stuck)).toMatchObject({ moving: 2, still: 1 })
  })

  it('what is left is looked at again after ever longer, until something comes of it', () => {
    const pauses: number[] = []
    let job = JOB
    for (let n = 0; n < 7; n++) {
      job = looked(job, { round: THROUGH }).job
      pauses.push(job.pauseMs)
    }
    expect(pauses).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000])
    expect(job.wait).toEqual({ why: '9 units on the disk', until: 61_000 })
    expect(looked(job, { round: { ...THROUGH, isFruitful: true } }).job.pauseMs).toBe(5_000)
    expect(renewed(job).round).toEqual(FIRST_ROUND)
  })

  it('what stood in the way is said, and what was done before it counts', () => {
    const { next, job } = looked(JOB, { trouble: 'no answer', added: [move('a')], bytes: 10 })
    expect(next).toBe('verifying')
    expect(job).toMatchObject({ bytes: 10, live: [{ taskId: 'a' }], wait: { why: 'no answer' } })
  })

  it('a disk that is none of this job any more ends it', () => {
    const over = { end: 'handed_over' as const, why: 'it is broken' }
    const { next, job } = looked({ ...JOB, live: [move('a')] }, { over })
    expect(next).toBe('done')
    expect(job).toMatchObject({ end: 'handed_over', endedAt: 1_000, wait: { why: 'it is broken' } })
  })
})
