import { beforeEach, expect, it } from 'vitest'
import { MemoryTaskQueue, VirtualClock } from '../../../src/adapters/memory/index.ts'
import type { LinkAnswer, LinkConsumer, TaskDelivery } from '../../../src/ports/index.ts'
import { RemoteSession } from '../../../src/worker/remote/session.ts'

const ACK_WAIT_MS = 60_000
const POLL_MS = 25_000

let clock: VirtualClock
let queue: MemoryTaskQueue
let session: RemoteSession
let version: number
let others: string[]

beforeEach(() => {
  clock = new VirtualClock()
  queue = new MemoryTaskQueue({ clock, ackWaitMs: ACK_WAIT_MS })
  version = 0
  others = []
  session = newSession()
})

function newSession(admitted = true): RemoteSession {
  let last = 0
  const deliveryId = () => `d${++last}`
  return new RemoteSession({ session: 's', taskQueue: queue, clock, deliveryId }, admitted)
}

const stateOf = (consumers: LinkConsumer[] = [{ id: 1, queue: 'q', slots: 2 }]) => ({
  session: 's',
  instance: 'i',
  version: ++version,
  consumers,
})

interface Asked {
  answer: LinkAnswer | undefined
  goAway(): void
}

function ask(after: number, consumers?: LinkConsumer[]): Asked {
  const away = new AbortController()
  const asked: Asked = { answer: undefined, goAway: () => away.abort() }
  const options = { timeoutMs: POLL_MS, signal: away.signal }
  void session.poll({ ...stateOf(consumers), after }, options).then((answer) => {
    asked.answer = answer
  })
  return asked
}

async function publish(taskId: string): Promise<void> {
  const message = { queue: 'q', priority: 0, messageId: taskId, taskId, name: 'work', ticket: 't' }
  queue.publish(message, () => {})
  await clock.settle(1)
}

/** Somebody else who takes whatever there is. */
async function takenByOthers(): Promise<string[]> {
  queue.consume({ queue: 'q', slots: 100 }, ({ message }) => others.push(message.taskId))
  await clock.settle(1)
  return others
}

const tasksOf = ({ answer }: Asked) => answer?.deliveries.map(({ message }) => message.taskId)

it('answers when something comes, and with nothing when its time is over', async () => {
  const first = ask(0)
  await clock.settle(10)
  expect(first.answer).toBeUndefined()
  await publish('a')
  expect(tasksOf(first)).toEqual(['a'])
  const second = ask(1)
  await clock.settle(POLL_MS)
  expect(second.answer).toEqual({ number: 1, deliveries: [], messages: [] })
})

it('gives an answer that was lost again, and not once it has arrived', async () => {
  const lost = ask(0)
  await publish('a')
  expect(lost.answer?.number).toBe(1)
  const again = ask(0)
  await clock.settle(1)
  expect(again.answer).toEqual(lost.answer)
  const next = ask(1)
  await clock.settle(1)
  expect(next.answer).toBeUndefined()
})

it('numbers go on where another process of the node was', async () => {
  const asked = ask(41)
  await publish('a')
  expect(asked.answer?.number).toBe(42)
})

it('what waits for a worker that goes away is for others at once', async () => {
  ask(0).goAway()
  await clock.settle(1)
  await publish('a')
  expect(await takenByOthers()).toEqual(['a'])
})

it('what came between two questions is given with the next one, or to others when there is none', async () => {
  const asked = ask(0)
  await publish('a')
  expect(tasksOf(asked)).toEqual(['a'])
  await publish('b')
  const next = ask(1)
  await clock.settle(1)
  expect(tasksOf(next)).toEqual(['b'])
  session.tell({ ...stateOf(), settled: [{ delivery: 'd1', how: 'ack' }] })
  await publish('c')
  await takenByOthers()
  expect(others).toEqual([])
  await clock.settle(10_000)
  expect(others).toEqual(['c'])
})

it('a new question ends the one before, without taking anything along', async () => {
  const first = ask(0)
  const second = ask(0)
  await publish('a')
  expect(first.answer).toEqual({ number: 0, deliveries: [], messages: [] })
  expect(tasksOf(second)).toEqual(['a'])
})

it('settles as it is told, however often', async () => {
  ask(0)
  await publish('a')
  const told = { ...stateOf(), settled: [{ delivery: 'd1', how: 'ack' as const }] }
  session.tell(told)
  session.tell(told)
  await clock.settle(ACK_WAIT_MS * 2)
  expect(await takenByOthers()).toEqual([])
})

it('an old state does not replace a newer one', async () => {
  ask(0)
  const old = stateOf([])
  session.tell({ ...stateOf(), settled: [] })
  session.tell({ ...old, settled: [] })
  await publish('a')
  expect(await takenByOthers()).toEqual([])
})

it('a worker that is not admitted is given nothing, and what waited for it is for others', async () => {
  session = newSession(false)
  const refused = ask(0)
  await publish('a')
  expect(refused.answer).toBeUndefined()
  session.admit(true)
  await clock.settle(1)
  expect(tasksOf(refused)).toEqual(['a'])
  await publish('b')
  session.admit(false)
  expect(await takenByOthers()).toEqual(['b'])
})

it('when it is closed, what was given and not settled goes back', async () => {
  ask(0)
  await publish('a')
  session.close()
  expect(await takenByOthers()).toEqual(['a'])
})

it('what waits for a worker that does not ask is bounded: the oldest hints go first', async () => {
  const count = 10_002
  for (let n = 0; n < count; n++) session.message({ subject: `s${n}`, payload: new Uint8Array() })
  const asked = ask(0)
  await clock.settle(1)
  const subjects = asked.answer?.messages.map(({ subject }) => subject) ?? []
  expect([subjects.length, subjects[0], subjects.at(-1)]).toEqual([10_000, 's2', 's10001'])
})

it('a delivery that nobody settled is forgotten in time', async () => {
  const acknowledged: string[] = []
  const message = {
    queue: 'q',
    priority: 0,
    messageId: 'm',
    taskId: 't',
    name: 'work',
    ticket: 't',
  }
  let deliver: (delivery: TaskDelivery) => void = () => {}
  const taskQueue = {
    consume: (_options: unknown, take: typeof deliver) => {
      deliver = take
      return { stop: () => {} }
    },
  }
  let last = 0
  const deps = { session: 's', taskQueue, clock, deliveryId: () => `d${++last}` }
  session = new RemoteSession(deps, true)
  const give = () =>
    deliver({
      message,
      ack: () => acknowledged.push(`d${last}`),
      retry: () => {},
      working: () => {},
    })
  ask(0)
  give()
  await clock.settle(14 * 60_000)
  ask(1)
  give()
  await clock.settle(2 * 60_000)
  ask(2)
  await clock.settle(1)
  const settled = ['d1', 'd2'].map((delivery) => ({ delivery, how: 'ack' as const }))
  session.tell({ ...stateOf(), settled })
  expect(acknowledged).toEqual(['d2'])
})
