/** Task queues on three servers, of which one is killed at a time. */
import { describe, it } from 'vitest'
import { missingNatsServer, startNatsCluster } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock } from './connections.ts'
import { join, untilStored } from './task-parties.ts'

const TASKS_PER_ROUND = 300
const PATIENT = { timeoutMs: 60_000 }

describe.skipIf(missingNatsServer)('task queues on three servers', () => {
  it('go on while any one of them is gone', async () => {
    const cluster = await startNatsCluster()
    try {
      const options = { cluster: 'c', replicas: 3, ackWaitMs: 2_000, surveyMs: 1_000 }
      const parties = await Promise.all(cluster.urls.map((url) => join(url, options)))
      const done = new Set<string>()
      for (const party of parties) {
        party.consume(8, ({ message, ack }) => {
          done.add(message.taskId)
          clock.after(1, ack)
        })
      }
      let published = 0
      /** As owners do it: again, under another id, until it is known to be there. */
      const publishOne = async (task: number) => {
        for (let publication = 1; ; publication++) {
          const messageId = `${task}:1:${publication}`
          const more = { priority: task % 3, messageId }
          if ((await parties[task % 3]!.publish(`${task}`, more)) === 'published') return
        }
      }
      const publish = async (count: number) => {
        const tasks = Array.from({ length: count }, (_, at) => published + at)
        published += count
        await Promise.all(tasks.map(publishOne))
      }
      await publish(TASKS_PER_ROUND)
      for (const server of cluster.servers) {
        await server.kill()
        await publish(TASKS_PER_ROUND)
        await until(
          () => done.size === published,
          PATIENT,
          () => `${done.size} of ${published}`,
        )
        await server.start()
        await cluster.ready()
      }
      await untilStored(parties[0]!, 'c', 0)
    } finally {
      await cluster.close()
    }
  })
})
