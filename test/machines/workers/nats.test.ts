/**
 * A node and a worker on a real nats-server, each as the user of config/nats that it is: the worker does
 * its work with what that user may do, and can do nothing else.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { NatsTransport } from '../../../src/adapters/nats/index.ts'
import { encodeTask } from '../../../src/adapters/nats/task-messages.ts'
import { taskNames } from '../../../src/adapters/nats/task-names.ts'
import type { WorkerProcess } from '../../../src/index.ts'
import { subjectsOf } from '../../../src/protocol/index.ts'
import { clock, connectorTo, LineLog } from '../../adapters/nats/connections.ts'
import { missingNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { CLUSTER, NatsRig, USERS } from './nats-rig.ts'

const SOON = { timeoutMs: 20_000 }
const subjects = subjectsOf(CLUSTER)

/** One worker w1 of `job.group.2` with the priority 0, as the remarks of the configuration have it. */
const restricted = USERS.replaceAll(/.*STREAM\.MSG\.GET\.TROUPE_troupe_TASKS.*\n/g, '')
  .replaceAll(/(TROUPE_troupe_TASKS)\.\*/g, '$1.job=2egroup=2e2_0')
  .replaceAll(/(\.work\.\*|\.worker|\.order|\.cancel)\.\*/g, '$1.w1')

describe.skipIf(missingNatsServer).each([
  ['of all queues', USERS],
  ['of one name and queue', restricted],
])('a worker %s', (_, config) => {
  let rig: NatsRig
  let worker: WorkerProcess
  const log = new LineLog()

  beforeAll(async () => {
    rig = await NatsRig.create(config)
    worker = await rig.worker('w1', log)
  })

  afterAll(async () => {
    await worker.stop()
    await rig.close()
  })

  const denied = (lines: LineLog) =>
    lines.lines
      .filter(({ message }) => message.includes('does not allow'))
      .map(({ fields }) => fields['subject'])

  /** As a server does that has forgotten an acknowledgement. Resolves when the message is answered for. */
  async function redeliver(address: string): Promise<void> {
    const connection = await connectorTo(rig.access('node')).open({ reconnect: true })
    const names = taskNames(CLUSTER)
    const [task] = (await rig.node.client.get(address)).tasks
    const ids = { taskId: task!.taskId, messageId: 'again', name: task!.name, ticket: 'old' }
    const { bytes } = encodeTask({ queue: task!.queue, priority: 0, ...ids })
    await connection.nats.jetstream().publish(names.task(task!.queue, 0), bytes)
    const manager = await connection.nats.jetstreamManager()
    const isEmpty = async () => (await manager.streams.info(names.stream)).state.messages === 0
    await until(isEmpty, SOON, 'the message is gone')
    await connection.close()
  }

  it('does its work, and needs no more', async () => {
    const input = { shell: 'echo it', queue: 'job.group.2', onWorkerLost: 'park' }
    const { client } = rig.node
    await client.start('run/1', input)
    const isDone = ({ status }: { status: string }) => status === 'done'
    await client.waitFor('run/1', isDone, SOON)
    const { context } = rig.node.apps[0]!
    const run = await context.runs.latest('run/1')
    expect(readFileSync(join(run!, 'stdout'), 'utf8')).toBe('it\n')
    await client.start('run/2', { ...input, shell: 'sleep 60' })
    await until(() => worker.status().running.length === 1, SOON, 'it runs')
    await redeliver('run/2')
    expect(worker.status().running).toHaveLength(1)
    expect((await client.get('run/2')).tasks).toMatchObject([{ attempt: 1, worker: 'w1' }])
    await client.send('run/2', { type: 'KILL' })
    await until(() => worker.status().running.length === 0, SOON, 'it is told to end')
    // Two of one name: a node asks the first one who it is.
    const second = rig.worker('w1', new LineLog(), 'elsewhere')
    await expect(second).rejects.toMatchObject({ code: 'conflict' })
    await worker.stop()
    worker = await rig.worker('w1', log, 'elsewhere')
    expect(denied(log)).toEqual([])
  })

  it('cannot command actors, write what nodes keep, or read what is not its', async () => {
    const said = new LineLog()
    const options = rig.access('worker')
    const connection = await connectorTo(options, said).open({ reconnect: true })
    const transport = new NatsTransport({
      ...{ connection, clock, log: said, inboxPrefix: options.inboxPrefix },
    })
    const forbidden = [
      ...[subjects.actor('run/1'), subjects.command('send'), subjects.admin('delete')],
      ...[subjects.shard(1), subjects.query(1), subjects.relay(1), subjects.node('n1')],
      ...[subjects.leader(), subjects.member(), subjects.tail('n1'), subjects.workerReports()],
      ...[subjects.order('w2', 's'), subjects.cancel('w2'), subjects.event('run/1')],
      ...['troupe.troupe.journal.0.1', 'troupe.troupe.task.job.0', 'troupe.troupe.checkpoint.0'],
      ...['$KV.TROUPE_troupe_REGISTRY.view', '$JS.API.STREAM.INFO.KV_TROUPE_troupe_REGISTRY'],
      ...['$JS.API.STREAM.MSG.GET.TROUPE_troupe_JOURNAL_0', '$JS.API.STREAM.NAMES'],
      '$JS.API.CONSUMER.CREATE.TROUPE_troupe_JOURNAL_0.x.troupe.troupe.journal.0.*',
      '$JS.API.STREAM.PURGE.TROUPE_troupe_TASKS',
      ...(config === restricted
        ? [
            ...[subjects.work(1, 'w2'), subjects.workerQuestion('w2', 'report')],
            '$JS.API.CONSUMER.MSG.NEXT.TROUPE_troupe_TASKS.mail_0',
            '$JS.API.CONSUMER.CREATE.TROUPE_troupe_TASKS.mail_0.troupe.troupe.task.mail.0',
            '$JS.API.STREAM.MSG.GET.TROUPE_troupe_TASKS',
          ]
        : []),
    ]
    for (const subject of forbidden) transport.publish(subject, Buffer.from('x'))
    const hidden = [subjects.events(), subjects.shard(1), '_INBOX_node.>', '$JS.>', '>']
    for (const subject of hidden) transport.subscribe(subject, {}, () => {})
    const all = [...forbidden, ...hidden]
    const isDenied = () => denied(said).length >= all.length
    await until(isDenied, SOON, () => `refusals; there are only ${denied(said).join()}`)
    expect(new Set(denied(said))).toEqual(new Set(all))
    // Nor by asking JetStream to answer there: that is said in the account of workers.
    const state = () => statesOf(rig)
    const before = await state()
    for (const to of ['troupe.troupe.journal.0.2', 'troupe.troupe.task.job.0']) {
      connection.nats.publish('$JS.API.INFO', '', { reply: to })
    }
    await connection.nats.request('$JS.API.INFO', '')
    expect(await state()).toEqual(before)
    transport.close()
    await connection.close()
  })
})

/** The last sequences of a journal and of the queues. */
async function statesOf(rig: NatsRig): Promise<number[]> {
  const connection = await connectorTo(rig.access('node')).open({ reconnect: true })
  const { streams } = await connection.nats.jetstreamManager()
  const names = ['TROUPE_troupe_JOURNAL_0', 'TROUPE_troupe_TASKS']
  const infos = await Promise.all(names.map((name) => streams.info(name)))
  await connection.close()
  return infos.map(({ state }) => state.last_seq)
}
