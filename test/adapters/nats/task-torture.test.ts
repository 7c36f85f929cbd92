/**
 * Three consumers, five priorities, a server that is killed and consumers that die: every task is delivered,
 * and to nobody again who has acknowledged it. A stand-in for the owners does what they do: it knows what is
 * done, and publishes again what nobody takes.
 */
import { describe, expect, it } from 'vitest'
import type { TaskDelivery } from '../../../src/ports/index.ts'
import { missingNatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock } from './connections.ts'
import { join, type Party, untilStored } from './task-parties.ts'

const TASKS = 1_000
const PRIORITIES = 5
const PUBLISHED_TOGETHER = 100
const SLOTS = 16
const WORK_MS = 5
const SWEEP_MS = 1_500
const CLUSTER = 'torture'

/** What the owners know. */
class Owners {
  readonly done = new Set<string>()
  readonly #party: Party
  readonly #publishedAtMs = new Map<string, number>()
  #publications = 0

  constructor(party: Party) {
    this.#party = party
  }

  publish(task: number): Promise<unknown> {
    const taskId = `${task}`
    this.#publications += 1
    this.#publishedAtMs.set(taskId, clock.monotonic())
    const messageId = `${taskId}:1:${this.#publications}`
    return this.#party.publish(taskId, { priority: task % PRIORITIES, messageId })
  }

  sweep(): void {
    for (const [taskId, atMs] of this.#publishedAtMs) {
      if (this.done.has(taskId)) this.#publishedAtMs.delete(taskId)
      else if (clock.monotonic() - atMs > SWEEP_MS) void this.publish(Number(taskId))
    }
  }
}

/** One that works on what it gets, and can be cut off. */
class Consumer {
  readonly again: string[] = []
  readonly #acknowledged = new Set<string>()
  readonly #party: Party
  readonly #owners: Owners
  #isDead = false

  constructor(party: Party, owners: Owners) {
    this.#party = party
    this.#owners = owners
    party.consume(SLOTS, (delivery) => this.#take(delivery))
  }

  async die(): Promise<void> {
    this.#isDead = true
    await this.#party.connection.nats.close()
  }

  #take(delivery: TaskDelivery): void {
    const { messageId, taskId } = delivery.message
    if (this.#acknowledged.has(messageId)) this.again.push(messageId)
    if (this.#owners.done.has(taskId)) return this.#acknowledge(delivery)
    clock.after(WORK_MS, () => {
      if (this.#isDead) return
      this.#owners.done.add(taskId)
      this.#acknowledge(delivery)
    })
  }

  #acknowledge(delivery: TaskDelivery): void {
    this.#acknowledged.add(delivery.message.messageId)
    delivery.ack()
  }
}

describe.skipIf(missingNatsServer)('task queues among kills', () => {
  it('deliver every task, and none to whoever has acknowledged it', async () => {
    const server = await startNatsServer()
    try {
      const options = { cluster: CLUSTER, ackWaitMs: 800, surveyMs: 500 }
      const publisher = await join(server.url, options)
      const owners = new Owners(publisher)
      const consumers: Consumer[] = []
      const hire = async () => {
        const party = await join(server.url, options)
        consumers.push(new Consumer(party, owners))
      }
      await Promise.all([hire(), hire(), hire()])
      const reach = (count: number) =>
        until(
          () => {
            owners.sweep()
            return owners.done.size >= count
          },
          { timeoutMs: 20_000, every: 20 },
          () => `${count} tasks are done, not only ${owners.done.size}`,
        )
      const published: Promise<unknown>[] = []
      const publishUpTo = async (count: number) => {
        for (let task = published.length; task < count; task++) {
          published.push(owners.publish(task))
          if (task % PUBLISHED_TOGETHER === 0) await new Promise<void>((go) => clock.defer(go))
        }
      }
      await publishUpTo(TASKS / 4)
      await reach(TASKS / 8)
      await server.kill()
      await server.start()
      await publishUpTo(TASKS / 2)
      await reach(TASKS / 3)
      await consumers[0]!.die()
      await Promise.all([hire(), publishUpTo(TASKS)])
      await reach((2 * TASKS) / 3)
      await Promise.all([server.kill(), consumers[1]!.die()])
      await server.start()
      await hire()
      await reach(TASKS)
      await untilStored(publisher, CLUSTER, 0)
      expect(owners.done.size).toBe(TASKS)
      expect(consumers.flatMap(({ again }) => again)).toEqual([])
    } finally {
      await server.close()
    }
  })
})
