/** The users of config/nats: each can do what it is for, and nothing of what it is not. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { askApi } from '../../../src/adapters/nats/api.ts'
import {
  type Connection,
  NatsJournal,
  NatsRegistry,
  NatsTransport,
  probe,
} from '../../../src/adapters/nats/index.ts'
import type { JournalWriteOutcome, TransportOutcome } from '../../../src/ports/index.ts'
import { subjectsOf } from '../../../src/protocol/index.ts'
import {
  configProblem,
  missingNatsServer,
  type NatsServer,
  startNatsServer,
} from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock, connectorTo, LineLog } from './connections.ts'

const FOLDER = new URL('../../../config/nats/', import.meta.url)
const SOON = { timeoutMs: 5_000 }
const subjects = subjectsOf('c')
const USERS = ['node', 'program', 'admin', 'operator', 'worker', 'reader'] as const
const PASSWORDS = Object.fromEntries(USERS.map((user) => [user, `of ${user}s`])) as Record<
  (typeof USERS)[number],
  string
>
const env = Object.fromEntries(
  USERS.map((user) => [`TROUPE_${user.toUpperCase()}_PASSWORD`, JSON.stringify(PASSWORDS[user])]),
)

interface Party {
  connection: Connection
  transport: NatsTransport
  log: LineLog
}

describe.skipIf(missingNatsServer)('the users of config/nats', () => {
  let server: NatsServer
  beforeAll(async () => {
    const config = readFileSync(new URL('users.conf', FOLDER), 'utf8')
    server = await startNatsServer({ config, env })
  })
  afterAll(() => server.close())

  async function signIn(user: keyof typeof PASSWORDS): Promise<Party> {
    const log = new LineLog()
    const inboxPrefix = `_INBOX_${user}`
    const options = { servers: [server.url], user, password: PASSWORDS[user], inboxPrefix }
    const connection = await connectorTo(options, log).open({ reconnect: true })
    const transport = new NatsTransport({ connection, clock, log, inboxPrefix })
    onTestFinished(async () => {
      transport.close()
      await connection.close()
    })
    return { connection, transport, log }
  }

  /** A node that serves a shard and hears all that comes. */
  async function serve(): Promise<{ node: Party; heard: string[] }> {
    const node = await signIn('node')
    const heard: string[] = []
    node.transport.subscribe('troupe.c.>', {}, ({ subject, reply }) => {
      heard.push(subject)
      reply?.(Buffer.from('done'))
    })
    await node.connection.nats.flush()
    return { node, heard }
  }

  function request(
    { transport }: Party,
    subject: string,
    timeoutMs = 5_000,
  ): Promise<TransportOutcome> {
    const payload = Buffer.from('x')
    return new Promise((resolve) => transport.request({ subject, payload, timeoutMs }, resolve))
  }

  const OK = Buffer.from('done')
  const DONE = { kind: 'reply', payload: OK }

  it('the configuration is one that a server takes', () => {
    const file = new URL('nats-server.conf', FOLDER).pathname
    expect(configProblem(file, env)).toBeUndefined()
    expect(configProblem(file, {})).toContain('TROUPE_NODE_PASSWORD')
  })

  it('a node claims, writes its journal and answers, but removes no stream', async () => {
    const { connection, log } = await signIn('node')
    const needs = {
      ...{ replicas: 1, messageBytesMax: 1_000 * 1024, streams: 66 },
      // Shorter than any server waits for a silent client: that is told where it is known.
      retentionMs: 1,
    }
    expect(await probe({ connection, needs, clock, log })).toMatchObject({ serverName: 'n1' })
    expect(log.said('gives up a silent client')?.level).toBe('warn')
    const shared = { cluster: 'c', replicas: 1, clock, log }
    const registry = await NatsRegistry.open({ ...shared, connection })
    const claim = new Promise((resolve) => registry.claim('leader.1', Buffer.from('n'), resolve))
    expect(await claim).toEqual({ kind: 'won' })
    const options = { servers: [server.url], user: 'node', password: PASSWORDS.node }
    const connector = connectorTo({ ...options, inboxPrefix: '_INBOX_node' }, log)
    const journal = new NatsJournal({
      ...shared,
      servers: [server.url],
      open: () => connector.open({ reconnect: false }),
    })
    onTestFinished(() => journal.close())
    const slot = { shard: 0, slot: 1, record: Buffer.from('record'), afterSequence: 0 }
    const written = async () => {
      await new Promise((resolve) => journal.end(0, resolve))
      const outcome = await new Promise<JournalWriteOutcome>((resolve) =>
        journal.write(slot, resolve),
      )
      // Its own first try, of which it was not told.
      return outcome.kind === 'written' || outcome.kind === 'refused'
    }
    await until(written, SOON, 'a slot')
    const manager = await connection.nats.jetstreamManager()
    await expect(manager.streams.delete('KV_TROUPE_c_REGISTRY')).rejects.toThrow(/ermission/)
    expect((await manager.streams.info('KV_TROUPE_c_REGISTRY')).state.messages).toBe(1)
  })

  it('whoever takes from streams may look whether a server is cut off from JetStream', async () => {
    for (const user of ['node', 'worker'] as const) {
      const { connection } = await signIn(user)
      expect(await askApi(connection, 'INFO', {}, 5_000), user).toHaveProperty('limits')
    }
  })

  it('a worker makes a server send neither to a journal nor to the API', async () => {
    const node = await signIn('node')
    const worker = await signIn('worker')
    const { streams } = await node.connection.nats.jetstreamManager()
    const journal = 'TROUPE_troupe_JOURNAL_0'
    await streams.add({ name: journal, subjects: ['troupe.troupe.journal.0.*'] })
    await streams.add({ name: 'TROUPE_troupe_TASKS', subjects: ['troupe.troupe.task.>'] })
    const js = node.connection.nats.jetstream()
    await js.publish('troupe.troupe.journal.0.1', 'slot')
    await js.publish('troupe.troupe.task.job.0', 'task')
    const api = '$JS.API.CONSUMER'
    const ask = async (name: string, config: object): Promise<string> => {
      const [stream, filter] = ['TROUPE_troupe_TASKS', 'troupe.troupe.task.job.0']
      const shared = { name, filter_subject: filter, inactive_threshold: 60_000_000_000 }
      const body = { stream_name: stream, config: { ...shared, ...config } }
      const subject = `${api}.CREATE.${stream}.${name}.${filter}`
      const answer = await worker.connection.nats.request(subject, JSON.stringify(body))
      return answer.string()
    }
    const push = { ack_policy: 'none', idle_heartbeat: 100_000_000 }
    const slot = 'troupe.troupe.journal.0.2'
    // Newer servers refuse some of these: that is as good.
    await ask('purge', { ...push, deliver_subject: `$JS.API.STREAM.PURGE.${journal}` })
    await ask('slot', { ...push, deliver_subject: slot })
    await ask('pull', { ack_policy: 'explicit' })
    for (const asked of [`${api}.MSG.NEXT.TROUPE_troupe_TASKS.pull`, '$JS.API.INFO']) {
      worker.connection.nats.publish(asked, '', { reply: slot })
    }
    // What who listens to exactly a subject is sent meanwhile.
    const heard: string[] = []
    const listen = (_: unknown, message: { string(): string }) => heard.push(message.string())
    node.connection.nats.subscribe('_INBOX_node.tasks', { callback: listen })
    await node.connection.nats.flush()
    await ask('inbox', { ...push, deliver_subject: '_INBOX_node.tasks' })
    await until(
      () => heard.length > 3,
      SOON,
      () => `a task and heartbeats: ${heard.join()}`,
    )
    expect(heard[0]).toBe('task')
    expect((await streams.info(journal)).state).toMatchObject({ messages: 1, last_seq: 1 })
  })

  it('what a worker makes a server send is heard by none that nodes listen with', async () => {
    const [node, worker] = [await signIn('node'), await signIn('worker')]
    const streams = (await node.connection.nats.jetstreamManager()).streams
    const stream = 'TROUPE_troupe_TASKS'
    await streams.add({ name: stream, subjects: ['troupe.troupe.task.>'] }).catch(() => {})
    const filter = 'troupe.troupe.task.job.1'
    await node.connection.nats.jetstream().publish(filter, 'task')
    const [heard, sent]: [string[], (string | undefined)[]] = [[], []]
    const place = subjects.member()
    node.transport.subscribe(place, {}, ({ payload }) => void heard.push(String(payload)))
    node.connection.nats.subscribe(place, {
      callback: (_, { headers, data }) => void sent.push(headers?.status ?? String(data)),
    })
    await node.connection.nats.flush()
    const push = { ack_policy: 'none', idle_heartbeat: 100_000_000, deliver_subject: place }
    const config = { name: 'place', filter_subject: filter, ...push }
    const asked = `$JS.API.CONSUMER.CREATE.${stream}.place.${filter}`
    const body = JSON.stringify({ stream_name: stream, config })
    await worker.connection.nats.request(asked, body)
    await until(
      () => sent.length > 3,
      SOON,
      () => `a task and heartbeats: ${sent.join()}`,
    )
    expect(sent[0]).toBe('task')
    node.transport.publish(place, Buffer.from('of a node'))
    await until(() => heard.length > 0, SOON, 'what a node says')
    expect(heard).toEqual(['of a node'])
  })

  it('an operator commands and looks, and cannot reach what nodes keep', async () => {
    const { node, heard } = await serve()
    const operator = await signIn('operator')
    const allowed = [subjects.actor('job/1'), subjects.command('pause'), '$SRV.PING']
    for (const subject of [...allowed, subjects.api('read'), subjects.apiMore('operate', 'n1')]) {
      if (subject === '$SRV.PING') node.transport.subscribe(subject, {}, ({ reply }) => reply?.(OK))
      await node.connection.nats.flush()
      expect(await request(operator, subject), subject).toEqual(DONE)
    }
    heard.length = 0
    const forbidden = [
      subjects.admin('delete'),
      subjects.api('admin'),
      subjects.apiMore('admin', 'n1'),
      subjects.facts(),
      subjects.shard(1),
      subjects.query(1),
      subjects.relay(1),
      subjects.leader(),
      subjects.member(),
      subjects.tail('n1'),
      subjects.cancel('w1'),
      'troupe.c.journal.0.1',
      '$KV.TROUPE_c_REGISTRY.view',
      '$JS.API.STREAM.INFO.KV_TROUPE_c_REGISTRY',
    ]
    for (const subject of forbidden) operator.transport.publish(subject, Buffer.from('x'))
    await until(() => denied(operator).length === forbidden.length, SOON, 'all refusals')
    node.transport.publish('troupe.c.last', Buffer.from('x'))
    await until(() => heard.includes('troupe.c.last'), SOON, 'the last message')
    expect(heard).toEqual(['troupe.c.last'])
  })

  it('a program speaks to shards, an administrator with the rights of one, and neither to nodes', async () => {
    const { heard } = await serve()
    const may = {
      program: [subjects.facts(), subjects.shard(1), subjects.query(1)],
      admin: [subjects.admin('delete'), subjects.api('admin'), subjects.apiMore('admin', 'n1')],
    }
    const mayNot = [subjects.relay(1), subjects.tail('n1'), subjects.node('n1'), subjects.leader()]
    for (const user of ['program', 'admin'] as const) {
      const party = await signIn(user)
      for (const subject of may[user]) expect(await request(party, subject), subject).toEqual(DONE)
      heard.length = 0
      const others = user === 'program' ? may.admin : may.program
      for (const subject of [...mayNot, ...others, 'troupe.c.journal.0.1']) {
        expect(await request(party, subject), subject).toEqual({ kind: 'no-responders' })
      }
      expect(heard).toEqual([])
    }
  })

  it('a reader looks and watches, and can neither send nor listen to others', async () => {
    const { node, heard } = await serve()
    const reader = await signIn('reader')
    for (const verb of ['get', 'history', 'events', 'list', 'count', 'audit', 'cluster']) {
      expect(await request(reader, subjects.command(verb)), verb).toEqual(DONE)
    }
    const seen: string[] = []
    reader.transport.subscribe(subjects.events(), {}, ({ subject }) => seen.push(subject))
    const hidden = [subjects.shard(1), subjects.tail('n1'), '_INBOX_operator.>', '>', '$JS.>']
    for (const subject of hidden) {
      reader.transport.subscribe(subject, {}, () => seen.push('hidden'))
    }
    await until(() => denied(reader).length === hidden.length, SOON, 'all refusals')
    heard.length = 0
    expect(await request(reader, subjects.api('read'))).toEqual(DONE)
    heard.length = 0
    const changes = [subjects.actor('job/1'), subjects.command('send'), subjects.api('operate')]
    for (const subject of [...changes, subjects.admin('get'), subjects.query(1)]) {
      expect(await request(reader, subject), subject).toEqual({ kind: 'no-responders' })
    }
    const operator = await signIn('operator')
    expect(await request(operator, subjects.command('pause'))).toEqual(DONE)
    expect(heard).toEqual([subjects.command('pause')])
    node.transport.publish(subjects.event('job/1'), Buffer.from('x'))
    await until(() => seen.length > 0, SOON, 'the event')
    expect(seen).toEqual([subjects.event('job/1')])
  })

  it('whoever may only ask makes no node say what he may not say himself', async () => {
    const { node, heard } = await serve()
    node.transport.subscribe('$KV.>', {}, ({ subject }) => heard.push(subject))
    await node.connection.nats.flush()
    const reader = await signIn('reader')
    // A server asks whether he may speak there, not where he wants the answer.
    const elsewhere = [
      '$KV.TROUPE_c_REGISTRY.view',
      'troupe.c.journal.0.1',
      subjects.admin('delete'),
    ]
    for (const reply of elsewhere) {
      reader.connection.nats.publish(subjects.command('get'), Buffer.from('x'), { reply })
    }
    expect(await request(reader, subjects.command('list'))).toEqual(DONE)
    node.transport.publish('troupe.c.last', Buffer.from('x'))
    await until(() => heard.includes('troupe.c.last'), SOON, 'the last message')
    const asked = [...elsewhere.map(() => subjects.command('get')), subjects.command('list')]
    expect(heard).toEqual([...asked, 'troupe.c.last'])
  })
})

function denied({ log }: Party): unknown[] {
  return log.lines.filter(({ message }) => message.includes('does not allow'))
}
