/** What every `TaskQueue` promises. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TaskDelivery, TaskMessage, TaskQueue } from '../../src/ports/index.ts'
import { answer, type Passing, until } from './support.ts'

/** Names that are not words of a subject, a path or a pattern, and some that look alike. */
const ANY_NAMES = ['a.b', 'a%2Eb', 'a_1', 'a', '*', '>', 'with space/é', 'x'.repeat(250)]
/** The queues of the suite, for a harness that has to know them. */
export const QUEUE_NAMES: readonly string[] = ['q', 'other', ...ANY_NAMES]

export interface TaskQueueHarness extends Passing {
  queue: TaskQueue
  now(): number
  /** How long a delivery may be silent. */
  ackWaitMs: number
  /** Whether priorities and turns are exact; a distributed queue does its best. */
  exact: boolean
  close(): Promise<void>
}

/** Longer than a test takes on a machine that is busy: only silence of its own making counts. */
const PATIENT_MS = 60_000

/** @param create with how long a delivery may be silent; a short time of its own when absent */
export function taskQueueSuite(
  name: string,
  create: (ackWaitMs?: number) => Promise<TaskQueueHarness>,
): void {
  describe(`task queue: ${name}`, () => {
    let harness: TaskQueueHarness
    beforeEach(async () => {
      harness = await create(PATIENT_MS)
    })
    afterEach(() => harness.close())

    const publish = (taskId: string, more: Partial<TaskMessage> = {}): Promise<string> =>
      answer(harness, (done) =>
        harness.queue.publish(
          {
            ...{ queue: 'q', priority: 0, messageId: `${taskId}:1:1`, taskId, name: 'work' },
            ...{ ticket: 't', ...more },
          },
          done,
        ),
      )
    /** Collects deliveries and does nothing with them. */
    const collect = (slots: number, queue = 'q'): TaskDelivery[] & { stop(): void } => {
      const got: TaskDelivery[] = []
      const consumer = harness.queue.consume({ queue, slots }, (delivery) => got.push(delivery))
      return Object.assign(got, { stop: () => consumer.stop() })
    }
    const ids = (deliveries: TaskDelivery[]): string[] => deliveries.map((d) => d.message.taskId)

    it('delivers what was published, before or after the consumer came, whole', async () => {
      expect(await publish('before', { priority: 3 })).toBe('published')
      const got = collect(5)
      await until(harness, () => got.length === 1)
      await publish('after')
      await until(harness, () => got.length === 2)
      await publish('later')
      await until(harness, () => got.length === 3)
      expect(got[0]!.message).toMatchObject({
        queue: 'q',
        priority: 3,
        messageId: 'before:1:1',
        taskId: 'before',
        name: 'work',
        ticket: 't',
      })
      expect(ids(got)).toEqual(['before', 'after', 'later'])
    })

    it('keeps queues apart and knows their depth', async () => {
      await publish('a')
      await publish('b')
      await publish('c', { queue: 'other' })
      await until(harness, () => harness.queue.depth('q') === 2)
      expect(harness.queue.depth('other')).toBe(1)
      expect(harness.queue.depth('nothing')).toBe(0)
      const got = collect(1, 'other')
      await until(harness, () => got.length === 1)
      await until(harness, () => harness.queue.depth('other') === 0)
      expect(ids(got)).toEqual(['c'])
      expect(harness.queue.depth('q')).toBe(2)
    })

    it('puts the same message id once', async () => {
      await publish('a')
      expect(await publish('a')).toBe('published')
      await publish('a', { messageId: 'a:1:2' })
      const got = collect(5)
      await until(harness, () => got.length >= 2)
      await harness.elapse(50)
      expect(got.map((d) => d.message.messageId)).toEqual(['a:1:1', 'a:1:2'])
    })

    it('never has more deliveries out than slots; an ack frees one', async () => {
      for (let i = 0; i < 5; i++) await publish(`${i}`)
      const got = collect(2)
      await until(harness, () => got.length >= 2)
      await harness.elapse(50)
      expect(got).toHaveLength(2)
      got[0]!.ack()
      got[0]!.ack()
      await until(harness, () => got.length >= 3)
      await harness.elapse(50)
      expect(got).toHaveLength(3)
      for (let next = 1; next < 5; next++) {
        got[next]!.ack()
        if (next < 3) await until(harness, () => got.length >= next + 3)
      }
      expect(ids(got)).toEqual(['0', '1', '2', '3', '4'])
      await until(harness, () => harness.queue.depth('q') === 0)
    })

    it('delivers larger priorities first, and first come first served within one', async () => {
      const priorities = [1, 5, 1, 9, 5, 1]
      for (const [i, priority] of priorities.entries()) await publish(`${i}`, { priority })
      const got = collect(1)
      for (let n = 1; n <= 6; n++) {
        await until(harness, () => got.length >= n)
        got[n - 1]!.ack()
      }
      if (harness.exact) expect(ids(got)).toEqual(['3', '1', '4', '0', '2', '5'])
      else expect(ids(got).toSorted()).toEqual(['0', '1', '2', '3', '4', '5'])
    })

    it('holds a message back until its time', async () => {
      const startMs = harness.now()
      await publish('later', { notBefore: startMs + 300 })
      await publish('sooner', { notBefore: startMs + 150 })
      await publish('past', { notBefore: startMs - 1 })
      const got: string[] = []
      harness.queue.consume({ queue: 'q', slots: 5 }, (delivery) => {
        const { taskId, notBefore } = delivery.message
        got.push(harness.now() >= notBefore! ? taskId : `${taskId} too early`)
        delivery.ack()
      })
      await until(harness, () => got.length === 3)
      expect(got).toEqual(['past', 'sooner', 'later'])
    })

    it('holds messages back without slots, and without holding up others', async () => {
      const dueMs = harness.now() + 60_000
      for (let i = 0; i < 20; i++) await publish(`later ${i}`, { notBefore: dueMs, priority: 1 })
      await publish('now')
      const got = collect(1)
      await until(harness, () => got.length === 1)
      expect(ids(got)).toEqual(['now'])
      got[0]!.ack()
      await publish('next')
      await until(harness, () => got.length === 2)
      expect(ids(got)).toEqual(['now', 'next'])
      await until(harness, () => harness.queue.depth('q') === 20)
    })

    it('lets a larger priority pass what waits, also one that is new', async () => {
      await publish('running')
      const got = collect(1)
      await until(harness, () => got.length === 1)
      await publish('small')
      await publish('large', { priority: 7 })
      await publish('larger', { priority: 70 })
      for (let next = 0; next < 4; next++) {
        await until(harness, () => got.length > next)
        got[next]!.ack()
      }
      if (harness.exact) expect(ids(got)).toEqual(['running', 'larger', 'large', 'small'])
      else expect(got).toHaveLength(4)
    })

    it('takes any name and any priority', async () => {
      const priorities = [-3, 0, 1.5, 1_000_000]
      const got = new Map<string, number[]>()
      for (const queue of ANY_NAMES) {
        got.set(queue, [])
        harness.queue.consume({ queue, slots: 5 }, ({ message, ack }) => {
          if (message.queue === queue) got.get(queue)!.push(message.priority)
          ack()
        })
        for (const priority of priorities) {
          const taskId = `job/é#1:${queue}:${priority}`
          expect(await publish(taskId, { queue, priority })).toBe('published')
        }
      }
      for (const queue of ANY_NAMES) {
        await until(harness, () => got.get(queue)!.length >= priorities.length, queue)
        expect(got.get(queue)!.toSorted((a, b) => a - b)).toEqual(priorities)
      }
    })

    it('gives a message back after the delay asked for', async () => {
      await publish('a')
      const times: number[] = []
      harness.queue.consume({ queue: 'q', slots: 1 }, (delivery) => {
        times.push(harness.now())
        if (times.length < 3) delivery.retry(100)
        else delivery.ack()
      })
      await until(harness, () => times.length === 3)
      expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(99)
      expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(99)
    })

    it('frees the slot of a message that is given back, and counts it as waiting', async () => {
      await publish('a')
      await publish('b')
      const got = collect(1)
      await until(harness, () => got.length === 1)
      got[0]!.retry(60_000)
      await until(harness, () => got.length === 2)
      expect(ids(got)).toEqual(['a', 'b'])
      got[1]!.ack()
      await until(harness, () => harness.queue.depth('q') === 1)
    })

    it('shares the work among consumers', async () => {
      const counts = [0, 0, 0]
      for (const i of counts.keys()) {
        harness.queue.consume({ queue: 'q', slots: 2 }, (delivery) => {
          counts[i]!++
          void harness.elapse(1).then(() => delivery.ack())
        })
      }
      const published: Promise<string>[] = []
      for (let i = 0; i < 90; i++) published.push(publish(`${i}`))
      await Promise.all(published)
      const total = (): number => counts.reduce((sum, count) => sum + count, 0)
      await until(harness, () => total() >= 90)
      expect(total()).toBe(90)
      expect(Math.min(...counts)).toBeGreaterThanOrEqual(harness.exact ? 20 : 5)
    })

    describe('where silence ends a delivery', () => {
      beforeEach(async () => {
        await harness.close()
        harness = await create()
      })

      it('frees the slot of a delivery that is silent', async () => {
        await publish('a')
        const got = collect(1)
        await until(harness, () => got.length === 2)
        expect(ids(got)).toEqual(['a', 'a'])
        // The first has nothing to say any more.
        got[0]!.retry(0)
        await harness.elapse(harness.ackWaitMs / 2)
        expect(got).toHaveLength(2)
        got[1]!.ack()
        await publish('b')
        await until(harness, () => got.length === 3)
        expect(ids(got)).toEqual(['a', 'a', 'b'])
        await harness.elapse(harness.ackWaitMs / 2)
        expect(got).toHaveLength(3)
      })

      it('delivers again what nobody acknowledged in time', async () => {
        await publish('a')
        const got = collect(2)
        await until(harness, () => got.length >= 2)
        expect(ids(got)).toEqual(['a', 'a'])
        got[1]!.ack()
        await harness.elapse(harness.ackWaitMs * 3)
        expect(got).toHaveLength(2)
      })

      it('waits longer while the consumer says that it is working', async () => {
        await publish('a')
        const got = collect(2)
        await until(harness, () => got.length === 1)
        for (let i = 0; i < 8; i++) {
          await harness.elapse(harness.ackWaitMs / 2)
          got[0]!.working()
        }
        expect(got).toHaveLength(1)
        await until(harness, () => got.length === 2)
        got[1]!.ack()
      })

      it('honours an ack that came late', async () => {
        await publish('a')
        const lost = collect(1)
        await until(harness, () => lost.length === 1)
        lost.stop()
        await until(harness, () => harness.queue.depth('q') === 1)
        lost[0]!.ack()
        await until(harness, () => harness.queue.depth('q') === 0)
        const got = collect(1)
        await harness.elapse(harness.ackWaitMs * 2)
        expect(got).toHaveLength(0)
      })

      it('delivers nothing after stop; what is out can still be acknowledged', async () => {
        await publish('a')
        await publish('b')
        const got = collect(1)
        await until(harness, () => got.length === 1)
        got.stop()
        got[0]!.ack()
        await harness.elapse(harness.ackWaitMs * 2)
        expect(got).toHaveLength(1)
        const next = collect(1)
        await until(harness, () => next.length === 1)
        expect(ids(next)).toEqual(['b'])
        next[0]!.ack()
      })
    })
  })
}
