/** Those who publish and consume tasks in tests, each with a connection of its own. */
import { onTestFinished } from 'vitest'
import {
  type Connection,
  NatsTaskQueue,
  type NatsTaskQueueOptions,
} from '../../../src/adapters/nats/index.ts'
import type { Clock, TaskDelivery, TaskMessage } from '../../../src/ports/index.ts'
import { until } from '../../waiting.ts'
import { clock, connectTo, LineLog } from './connections.ts'

export class Party {
  readonly queue: NatsTaskQueue
  readonly connection: Connection
  readonly log: LineLog

  constructor(queue: NatsTaskQueue, connection: Connection, log: LineLog) {
    this.queue = queue
    this.connection = connection
    this.log = log
  }

  publish(taskId: string, more: Partial<TaskMessage> = {}): Promise<'published' | 'unknown'> {
    const message = {
      queue: 'q',
      priority: 0,
      messageId: `${taskId}:1:1`,
      taskId,
      name: 'work',
      ticket: 't',
    }
    return new Promise((resolve) => this.queue.publish({ ...message, ...more }, resolve))
  }

  /** Collects deliveries, and does what is asked with each. */
  consume(slots: number, use: (delivery: TaskDelivery) => void = () => {}): Consumption {
    const got: TaskDelivery[] = []
    const consumer = this.queue.consume({ queue: 'q', slots }, (delivery) => {
      got.push(delivery)
      use(delivery)
    })
    return {
      got,
      ids: () => got.map(({ message }) => message.taskId),
      stop: () => consumer.stop(),
    }
  }

  async close(): Promise<void> {
    await this.queue.close()
    await this.connection.close()
  }
}

export interface Consumption {
  got: TaskDelivery[]
  ids(): string[]
  stop(): void
}

/** Closed with the test. */
export async function join(
  url: string,
  options: Partial<NatsTaskQueueOptions> & { cluster: string },
): Promise<Party> {
  const log = new LineLog()
  const connection = await connectTo(url, log)
  const queue = await NatsTaskQueue.open({ connection, replicas: 1, clock, log, ...options })
  const party = new Party(queue, connection, log)
  onTestFinished(() => party.close())
  return party
}

/** Who may only consume; looks again soon. Closed with the test. */
export async function joinAsGuest(url: string, cluster: string): Promise<Party> {
  const log = new LineLog()
  const connection = await connectTo(url, log)
  const queue = NatsTaskQueue.ofGuest({ connection, cluster, clock, log, surveyMs: 100 })
  const party = new Party(queue, connection, log)
  onTestFinished(() => party.close())
  return party
}

/** A clock on which everything is due sooner; the server's times stay as they are. */
export function faster(times: number): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic() * times,
    after: (delayMs, call) => clock.after(delayMs / times, call),
    defer: (call) => clock.defer(call),
  }
}

/** Messages that JetStream has for a cluster. */
export async function stored({ connection }: Party, cluster: string): Promise<number> {
  const manager = await connection.nats.jetstreamManager({ checkAPI: false, timeout: 1_000 })
  const { state } = await manager.streams.info(`TROUPE_${cluster}_TASKS`)
  return state.messages
}

export async function untilStored(party: Party, cluster: string, count: number): Promise<void> {
  let found = -1
  const isSo = async () => {
    found = await stored(party, cluster)
    return found === count
  }
  await until(isSo, { timeoutMs: 30_000 }, () => `${count} messages are stored, not ${found}`)
}
