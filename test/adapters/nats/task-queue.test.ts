/** Task queues over JetStream, where servers, operators and networks do what the contract knows nothing of. */
import { AckPolicy } from 'nats'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { holds, until } from '../../waiting.ts'
import { clock } from './connections.ts'
import { faster, join, joinAsGuest, stored, untilStored } from './task-parties.ts'

const SOON = { timeoutMs: 3_000 }

describe.skipIf(missingNatsServer)('task queues over NATS', () => {
  let server: NatsServer
  let clusters = 0
  const newCluster = () => {
    clusters += 1
    return `c${clusters}`
  }
  beforeAll(async () => {
    server = await startNatsServer()
  })
  afterAll(() => server.close())

  it('refuses a stream that somebody made otherwise, and says what differs', async () => {
    const cluster = newCluster()
    const { connection } = await join(server.url, { cluster: `${cluster}x` })
    const manager = await connection.nats.jetstreamManager()
    const name = `TROUPE_${cluster}_TASKS`
    await manager.streams.add({ name, subjects: [`troupe.${cluster}.task.>`], max_msgs: 5 })
    await expect(join(server.url, { cluster })).rejects.toThrow(
      /retention is "limits" instead of "workqueue".*max_msgs is 5 instead of -1/,
    )
  })

  it('a guest makes no stream, and takes from it once a node has made it', async () => {
    const cluster = newCluster()
    const guest = await joinAsGuest(server.url, cluster)
    const took = guest.consume(1, (delivery) => delivery.ack())
    const manager = await guest.connection.nats.jetstreamManager()
    const isThere = async () => {
      for await (const name of manager.streams.names()) {
        if (name === `TROUPE_${cluster}_TASKS`) return true
      }
      return false
    }
    await holds(async () => !(await isThere()), { forMs: 300, every: 50 }, 'nobody makes it')
    const node = await join(server.url, { cluster })
    await node.publish('a')
    await until(() => took.ids().join() === 'a', { timeoutMs: 10_000 }, 'the delivery')
    await untilStored(node, cluster, 0)
  })

  it('notices a consumer that somebody changed, and makes it as it was', async () => {
    const cluster = newCluster()
    const one = await join(server.url, { cluster })
    await one.publish('a')
    const first = one.consume(1)
    await until(() => first.got.length === 1, SOON, 'a delivery')
    const { consumers } = await one.connection.nats.jetstreamManager()
    const stream = `TROUPE_${cluster}_TASKS`
    await consumers.update(stream, 'q_0', { max_ack_pending: 1 })
    const other = await join(server.url, { cluster })
    await one.publish('b')
    const second = other.consume(1)
    await until(() => second.got.length === 1, SOON, 'a delivery although one is out')
    const { config } = await consumers.info(stream, 'q_0')
    expect(config.max_ack_pending).toBe(-1)
    const line = other.log.said('is not as it was made')
    expect(line?.fields).toMatchObject({
      consumer: 'q_0',
      differences: ['max_ack_pending is 1 instead of -1'],
    })
  })

  it('takes turns at one consumer with a node that makes it at the same time', async () => {
    const cluster = newCluster()
    const parties = await Promise.all([1, 2, 3].map(() => join(server.url, { cluster })))
    for (let i = 0; i < 6; i++) await parties[0]!.publish(`${i}`)
    const took = parties.map((party) => party.consume(2))
    await until(() => took.every(({ got }) => got.length === 2), SOON, 'two for each')
    for (const { log } of parties) expect(log.said('cannot be used')).toBeUndefined()
  })

  it('removes what is no task, and says so', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster })
    const { nats } = party.connection
    await nats.request(`troupe.${cluster}.task.q.0`, 'not a task')
    const elsewhere = {
      queue: 'r',
      priority: 0,
      messageId: 'm',
      taskId: 't',
      name: 'n',
      ticket: 't',
    }
    await nats.request(`troupe.${cluster}.task.q.0`, JSON.stringify(elsewhere))
    await party.publish('a')
    const { got, ids } = party.consume(5)
    await untilStored(party, cluster, 1)
    await until(() => got.length === 1, SOON, 'the task')
    expect(ids()).toEqual(['a'])
    const complaints = party.log.lines.filter(({ message }) => message.includes('is none'))
    expect(complaints).toHaveLength(2)
  })

  it('hears of a priority that is new at once, whoever publishes', async () => {
    const cluster = newCluster()
    const [one, other] = [await join(server.url, { cluster }), await join(server.url, { cluster })]
    const { got } = one.consume(5)
    await other.publish('a')
    await until(() => got.length === 1, SOON, 'the first')
    await other.publish('b', { priority: 12 })
    await until(() => got.length === 2, SOON, 'one of a new priority')
  })

  it('finds a priority that nobody told of', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster, surveyMs: 200 })
    const { got } = party.consume(5)
    const message = { queue: 'q', priority: 4, messageId: 'm', taskId: 't', name: 'n', ticket: 't' }
    const subject = `troupe.${cluster}.task.q.4`
    await party.connection.nats.request(subject, JSON.stringify(message))
    await until(() => got.length === 1, SOON, 'the message')
  })

  it('asks hardly anything while nothing is there', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster })
    const { got } = party.consume(5, ({ ack }) => ack())
    for (const priority of [1, 2, 3]) await party.publish(`${priority}`, { priority })
    await until(() => got.length === 3, SOON, 'all tasks')
    await party.connection.nats.flush()
    const before = party.connection.nats.stats().outMsgs
    await holds(
      // One more round finds nothing, and each priority waits.
      () => party.connection.nats.stats().outMsgs - before <= 10,
      { forMs: 800 },
      'no more than a few questions',
    )
  })

  it('gives back at once what finds no slot', async () => {
    const cluster = newCluster()
    const one = await join(server.url, { cluster })
    const { got } = one.consume(1)
    for (const priority of [1, 2]) {
      await one.publish(`first ${priority}`, { priority })
      await until(() => got.length === priority, SOON, 'one of each priority')
      got.at(-1)!.ack()
    }
    // Both wait; only one has a slot.
    const { consumers } = await one.connection.nats.jetstreamManager()
    const areWaiting = async () => {
      const infos = ['q_1', 'q_2'].map((name) => consumers.info(`TROUPE_${cluster}_TASKS`, name))
      return (await Promise.all(infos)).every(({ num_waiting }) => num_waiting === 1)
    }
    await until(areWaiting, SOON, 'two priorities that wait')
    await Promise.all([one.publish('a', { priority: 1 }), one.publish('b', { priority: 2 })])
    await until(() => got.length === 3, SOON, 'one of them')
    const other = await join(server.url, { cluster })
    const { got: rest } = other.consume(1)
    await until(() => rest.length === 1, SOON, 'the other one')
    expect([got[2], rest[0]].map((one) => one!.message.taskId).sort()).toEqual(['a', 'b'])
  })

  it('asks for no more than there are free slots', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster })
    await Promise.all(Array.from({ length: 40 }, (_, i) => party.publish(`${i}`)))
    const { got } = party.consume(3, ({ ack }) => clock.after(1, ack))
    await until(() => got.length === 40, SOON, 'all tasks')
    const { consumers } = await party.connection.nats.jetstreamManager()
    const { delivered } = await consumers.info(`TROUPE_${cluster}_TASKS`, 'q_0')
    // One that finds no slot would be delivered twice.
    expect(delivered.consumer_seq).toBe(40)
  })

  it('makes a consumer again that is gone without a word', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster })
    await party.publish('a')
    const { got } = party.consume(1)
    await until(() => got.length === 1, SOON, 'the first')
    // Nobody waits at it now, so nobody is told.
    const { consumers } = await party.connection.nats.jetstreamManager()
    await consumers.delete(`TROUPE_${cluster}_TASKS`, 'q_0')
    await party.publish('b')
    got[0]!.ack()
    await until(() => got.length === 2, { timeoutMs: 6_000 }, 'the second')
  })

  it('delivers again after one wait, although it waits itself as well', async () => {
    const cluster = newCluster()
    // Its own wait ends a little after that of the server.
    const party = await join(server.url, { cluster, ackWaitMs: 600, clock: faster(0.95) })
    await party.publish('a')
    const times: number[] = []
    party.consume(2, () => times.push(clock.monotonic()))
    await until(() => times.length === 2, SOON, 'a second delivery')
    expect(times[1]! - times[0]!).toBeLessThan(1_000)
  })

  it('goes on with what is out when an operator removes its consumer', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster })
    await party.publish('a')
    const { got, ids } = party.consume(2)
    await until(() => got.length === 1, SOON, 'the delivery')
    const { consumers } = await party.connection.nats.jetstreamManager()
    await consumers.delete(`TROUPE_${cluster}_TASKS`, 'q_0')
    await party.publish('b')
    await until(() => got.length === 2, SOON, 'the next, of a new consumer')
    expect(ids()).toEqual(['a', 'b'])
    for (const { ack } of got) ack()
    await untilStored(party, cluster, 0)
  })

  it('takes a message from nobody by a word that comes too late', async () => {
    const cluster = newCluster()
    const options = { cluster, ackWaitMs: 400 }
    const [one, two, three] = await Promise.all([1, 2, 3].map(() => join(server.url, options)))
    await one!.publish('a')
    const first = one!.consume(1)
    await until(() => first.got.length === 1, SOON, 'the first delivery')
    first.stop()
    const second = two!.consume(1)
    await until(() => second.got.length === 1, SOON, 'the second, as the first is silent')
    const third = three!.consume(1)
    first.got[0]!.retry(0)
    await holds(() => third.got.length === 0, { forMs: 200 }, 'no third delivery')
    second.got[0]!.ack()
    await untilStored(one!, cluster, 0)
  })

  it('makes the stream again when an operator removes it', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster })
    const { got, ids } = party.consume(2, ({ ack }) => ack())
    await party.publish('a')
    await until(() => got.length === 1, SOON, 'the first')
    const { streams } = await party.connection.nats.jetstreamManager()
    await streams.delete(`TROUPE_${cluster}_TASKS`)
    expect(await party.publish('b')).toBe('published')
    await until(() => got.length === 2, SOON, 'the second')
    expect(ids()).toEqual(['a', 'b'])
    expect(party.log.said('the stream of tasks was gone')).toBeDefined()
  })

  it('says later what was acknowledged while nobody was connected', async () => {
    const cluster = newCluster()
    const party = await join(server.url, { cluster })
    await party.publish('a')
    const { got } = party.consume(1)
    await until(() => got.length === 1, SOON, 'the delivery')
    let isBack = false
    party.connection.listen({
      lost: () => got[0]!.ack(),
      back: () => {
        isBack = true
      },
    })
    await party.connection.nats.reconnect()
    await until(() => isBack, SOON, 'the connection')
    await untilStored(party, cluster, 0)
  })

  it('counts what others publish and acknowledge', async () => {
    const cluster = newCluster()
    const [one, other] = [await join(server.url, { cluster }), await join(server.url, { cluster })]
    expect(one.queue.depth('q')).toBe(0)
    for (let i = 0; i < 3; i++) await other.publish(`${i}`)
    await until(() => one.queue.depth('q') === 3, SOON, 'a depth of 3')
    other.consume(5, ({ ack }) => ack())
    await until(() => one.queue.depth('q') === 0, SOON, 'a depth of 0')
  })
})

describe.skipIf(missingNatsServer)('task queues over a NATS server that is killed', () => {
  it('deliver nothing again that was acknowledged here', async () => {
    const server = await startNatsServer()
    try {
      const party = await join(server.url, { cluster: 'c', ackWaitMs: 500, surveyMs: 300 })
      for (let i = 0; i < 51; i++) void party.publish(`${i}`)
      await untilStored(party, 'c', 51)
      const { got, ids } = party.consume(51)
      await until(() => got.length === 51, SOON, 'all tasks')
      // The last keeps their file on disk.
      const acknowledged = ids().slice(0, 50)
      for (const { ack } of got.slice(0, 50)) ack()
      await untilStored(party, 'c', 1)
      await server.kill()
      await server.start()
      // It has them all again by now, as it had not put on disk what was removed.
      await untilStored(party, 'c', 1)
      for (const id of acknowledged) expect(ids().filter((one) => one === id)).toHaveLength(1)
    } finally {
      await server.close()
    }
  })

  it('let nothing lie that it kept although it was acknowledged', async () => {
    const server = await startNatsServer()
    try {
      const party = await join(server.url, { cluster: 'c', surveyMs: 300 })
      const { got } = party.consume(8, ({ ack }) => clock.after(2, ack))
      // It keeps the file of all on disk.
      await party.publish('later', { priority: 1, notBefore: clock.now() + 60_000 })
      for (let i = 0; i < 200; i++) void party.publish(`${i}`)
      await until(() => got.length === 200, SOON, 'all tasks')
      // Consumers are on disk by then, as far as they were acknowledged; what was removed is not.
      await holds(() => true, { forMs: 300 }, 'time')
      await server.kill()
      await server.start()
      await untilStored(party, 'c', 1)
      expect(got).toHaveLength(200)
    } finally {
      await server.close()
    }
  })

  it('publish once it is back, and say unknown when it is gone for long', async () => {
    const server = await startNatsServer()
    try {
      const party = await join(server.url, { cluster: 'c' })
      const hasty = await join(server.url, { cluster: 'c', clock: faster(50) })
      const { got } = party.consume(9, ({ ack }) => ack())
      await server.kill()
      const outcomes = ['a', 'b', 'c'].map((id) => party.publish(id))
      expect(await hasty.publish('never')).toBe('unknown')
      await server.start()
      expect(await Promise.all(outcomes)).toEqual(['published', 'published', 'published'])
      await until(() => got.length === 3, SOON, 'all tasks')
      await untilStored(party, 'c', 0)
      expect(got).toHaveLength(3)
    } finally {
      await server.close()
    }
  })
})

describe.skipIf(missingNatsServer)('what nats-server 2.9 does with consumers', () => {
  it('forgets one that nobody asks for a while, and keeps its messages', async () => {
    const server = await startNatsServer()
    try {
      const party = await join(server.url, { cluster: 'c' })
      await party.publish('a')
      const { consumers } = await party.connection.nats.jetstreamManager()
      const config = {
        durable_name: 'short',
        filter_subject: 'troupe.c.task.q.0',
        ack_policy: AckPolicy.Explicit,
        inactive_threshold: 200_000_000,
      }
      await consumers.add('TROUPE_c_TASKS', config)
      const isGone = async () => (await consumers.list('TROUPE_c_TASKS').next()).length === 0
      await until(isGone, SOON, 'the end of the consumer')
      expect(await stored(party, 'c')).toBe(1)
      const { got } = party.consume(1)
      await until(() => got.length === 1, SOON, 'the message, by a new consumer')
    } finally {
      await server.close()
    }
  })
})
