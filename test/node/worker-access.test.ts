/** What a worker over NATS is told, by whoever may speak on its subjects. */
import { expect, it, onTestFinished } from 'vitest'
import { MemoryTaskQueue, MemoryTransport } from '../../src/adapters/memory/index.ts'
import { DirectAccess } from '../../src/node/worker-over-nats.ts'
import type { TransportOutcome } from '../../src/ports/index.ts'
import { pack, subjectsOf } from '../../src/protocol/index.ts'
import type { WorkerOrder } from '../../src/worker/index.ts'
import { clock, LineLog } from '../adapters/nats/connections.ts'
import { until } from '../waiting.ts'

const SOON = { timeoutMs: 10_000 }
const subject = subjectsOf('c').order('w1', 'of-w1')

function open() {
  const transport = new MemoryTransport({ clock })
  const log = new LineLog()
  const access = new DirectAccess({
    ...{ cluster: 'c', group: '2', worker: 'w1', target: 'here', transport, log },
    taskQueue: new MemoryTaskQueue({ clock }),
    random: { id: () => 'of-w1', fraction: () => 0.5 },
    close: async () => {},
  })
  onTestFinished(() => transport.close())
  const ask = () =>
    new Promise<TransportOutcome>((resolve) =>
      transport.request({ subject, payload: pack(null), timeoutMs: 5_000 }, resolve),
    )
  return { transport, log, access, ask }
}

it('it answers as the process that it is before it is let in, and not once it has ended', async () => {
  const { access, ask } = open()
  expect(await ask()).toMatchObject({ kind: 'reply' })
  access.enter(() => {})
  expect(await ask()).toMatchObject({ kind: 'reply' })
  await access.close()
  expect(await ask()).toEqual({ kind: 'no-responders' })
})

it('what is no order is logged, and changes nothing', async () => {
  const { transport, log, access } = open()
  const orders: WorkerOrder[] = []
  access.enter((order) => orders.push(order))
  const wrong = [null, 'stop', {}, { admitted: 'no' }, { admitted: true, reportMs: 0 }]
  const longWinded = { admitted: false, reason: 'x'.repeat(2_000) }
  for (const order of [...wrong, longWinded]) transport.publish(subject, pack(order))
  transport.publish(subject, Buffer.from('not msgpack'))
  const offline = { admitted: false, reason: 'lunch', reportMs: 20 }
  transport.publish(subject, pack({ ...offline, ofALaterVersion: 1 }))
  await until(() => orders.length > 0, SOON, 'the order')
  expect(orders).toEqual([offline])
  expect(log.lines.filter(({ message }) => message.includes('could not be read'))).toHaveLength(7)
})
