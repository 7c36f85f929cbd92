/** Names of tasks in NATS: what servers cannot take does not get there, and nothing is mixed up. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { taskNames } from '../../../src/adapters/nats/task-names.ts'

const names = taskNames('main')
/** Characters that escapes are made of. */
const ALIKE = ['_', '=', '-', '1', '2', '5', 'f', '%', '.', 'x']
const queue = fc.string({ minLength: 1, maxLength: 300, unit: 'grapheme' })
const priority = fc.oneof(fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))

describe('names of tasks', () => {
  it('stand below the name of the cluster', () => {
    expect(names.stream).toBe('TROUPE_main_TASKS')
    expect(names.all).toBe('troupe.main.task.>')
    expect(names.task('job.group.1', -2)).toBe('troupe.main.task.job%2Egroup%2E1.-2')
    expect(names.priorities('job.group.1')).toBe('troupe.main.priority.job%2Egroup%2E1')
    expect(names.consumer('job.group.1', -2)).toBe('job=2egroup=2e1_-2')
  })

  it('are tokens of a subject from which queue and priority can be read again', () => {
    fc.assert(
      fc.property(queue, priority, (queue, priority) => {
        const subject = names.task(queue, priority)
        expect(subject).toMatch(/^troupe\.main\.task\.[^\s.*>]+\.[^\s.*>]+$/)
        expect(names.parse(subject)).toEqual({ queue, priority: Number(String(priority)) })
      }),
    )
  })

  it('are names of consumers that no server stumbles over', () => {
    fc.assert(
      fc.property(queue, priority, (queue, priority) => {
        expect(names.consumer(queue, priority)).toMatch(/^[A-Za-z0-9=_-]{1,180}$/)
      }),
    )
  })

  it('differ for different queues and priorities', () => {
    const pair = fc.tuple(
      fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom(...ALIKE) }),
      fc.integer({ min: -11, max: 11 }),
    )
    fc.assert(
      fc.property(pair, pair, (one, other) => {
        fc.pre(one[0] !== other[0] || one[1] !== other[1])
        expect(names.consumer(...one)).not.toBe(names.consumer(...other))
        expect(names.task(...one)).not.toBe(names.task(...other))
      }),
    )
    const long = 'q'.repeat(400)
    expect(names.consumer(`${long}a`, 1)).not.toBe(names.consumer(`${long}b`, 1))
  })

  it('cannot be read from what is no subject of a task', () => {
    for (const subject of [
      'troupe.main.task.q',
      'troupe.main.task.q.1.2',
      'troupe.main.task.%E0%.1',
    ]) {
      expect(names.parse(subject)).toBeUndefined()
    }
    expect(names.parse('troupe.main.task.q.high')).toBeUndefined()
    expect(names.parse('troupe.other.task.q.1')).toBeUndefined()
  })
})
