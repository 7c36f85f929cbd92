/** The servers that other tests rely on: they start, die and come back as asked. */
import { connect } from 'nats'
import { describe, expect, it, onTestFinished } from 'vitest'
import { missingNatsServer, startNatsCluster, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'

describe.skipIf(missingNatsServer)('nats-server', () => {
  it('comes back after kill -9 on the same port, with what it had on disk', async () => {
    const server = await startNatsServer()
    onTestFinished(() => server.close())
    const first = await connect({ servers: server.url, reconnect: false })
    const manager = await first.jetstreamManager()
    await manager.streams.add({ name: 'S', subjects: ['s'] })
    await first.jetstream().publish('s', 'x')
    await server.kill()
    expect(await first.closed()).toBeUndefined()
    expect(server.isRunning).toBe(false)
    await server.start()
    const second = await connect({ servers: server.url, reconnect: false })
    const { state } = await (await second.jetstreamManager()).streams.info('S')
    expect(state.messages).toBe(1)
    await second.close()
  })

  it('stands still while it is frozen, with its connections open', async () => {
    const server = await startNatsServer({ jetstream: false })
    onTestFinished(() => server.close())
    const connection = await connect({ servers: server.url })
    await server.freeze()
    let answered = false
    const pong = connection.flush().then(() => {
      answered = true
    })
    await expect(until(() => answered, { timeoutMs: 200 }, 'an answer')).rejects.toThrow('in vain')
    server.thaw()
    await pong
    expect(connection.isClosed()).toBe(false)
    await connection.close()
  })

  it('says why it does not start', async () => {
    const start = startNatsServer({ config: 'no_such_option: 1' })
    await expect(start).rejects.toThrow('no_such_option')
  })

  it('makes a cluster that keeps three replicas, and goes on without one', async () => {
    const cluster = await startNatsCluster()
    onTestFinished(() => cluster.close())
    const first = await connect({ servers: cluster.urls })
    const manager = await first.jetstreamManager()
    const stream = { name: 'S', subjects: ['s'], num_replicas: 3 }
    const { cluster: placed } = await manager.streams.add(stream)
    await first.close()
    expect(placed?.replicas).toHaveLength(2)
    await cluster.server(placed!.replicas![0]!.name).kill()
    const second = await connect({ servers: cluster.server(placed!.leader!).url })
    await second.jetstream().publish('s', 'x')
    await second.close()
    await cluster.start()
    expect(cluster.servers.every(({ isRunning }) => isRunning)).toBe(true)
  })
})
