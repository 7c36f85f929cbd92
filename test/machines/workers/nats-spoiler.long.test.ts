/**
 * What a server can be made to write into a journal by anybody of the nodes' own account: it changes nothing.
 * Workers have an account of their own.
 */
import { expect, it, onTestFinished } from 'vitest'
import { shardOf } from '../../../src/protocol/index.ts'
import { connectorTo } from '../../adapters/nats/connections.ts'
import { missingNatsServer } from '../../nats-server.ts'
import { SHARDS } from '../../node/cluster-rig.ts'
import { until } from '../../waiting.ts'
import { CLUSTER, NatsRig } from './nats-rig.ts'

const SOON = { timeoutMs: 20_000 }

it.skipIf(missingNatsServer)(
  'what somebody has a server write into a journal holds up the shard, and changes nothing',
  async () => {
    const rig = await NatsRig.create()
    onTestFinished(() => rig.close())
    const { client } = rig.node
    const input = { shell: 'true', queue: 'job.group.9', onWorkerLost: 'park' }
    await client.start('run/spoilt', input)
    const stream = `TROUPE_${CLUSTER}_JOURNAL_${shardOf('run/spoilt', SHARDS)}`
    const node = await connectorTo(rig.access('node')).open({ reconnect: true })
    const { streams } = await node.nats.jetstreamManager()
    const spoiler = await connectorTo(rig.access('node')).open({ reconnect: true })
    for (const [turn, next] of [
      [2, (slot: number) => `${slot + 1}`],
      [3, () => 'x'],
    ] as const) {
      const { last_seq: seq } = (await streams.info(stream)).state
      const { subject } = await streams.getMessage(stream, { seq })
      const reply = subject.replace(/\d+$/, (slot) => next(Number(slot)))
      spoiler.nats.publish('$JS.API.INFO', '', { reply })
      const isThere = async () => (await streams.info(stream)).state.last_seq > seq
      await until(isThere, SOON, 'what the server was asked for')
      const patched = client.patch('run/spoilt', { shell: `echo ${turn}` }, { timeoutMs: 60_000 })
      await expect(patched).resolves.toMatchObject({ turn })
    }
    expect((await client.get('run/spoilt')).context).toMatchObject({ shell: 'echo 3' })
    await spoiler.close()
    await node.close()
  },
  120_000,
)
