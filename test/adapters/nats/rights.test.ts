/** Rights of our user that a running server takes away, and gives back. */
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { VirtualClock } from '../../../src/adapters/memory/index.ts'
import {
  type Connection,
  NatsConnector,
  NatsRegistry,
  NatsTransport,
} from '../../../src/adapters/nats/index.ts'
import { Rights } from '../../../src/adapters/nats/rights.ts'
import type { TransportOutcome } from '../../../src/ports/index.ts'
import { missingNatsServer, type NatsServer, startNatsServer } from '../../nats-server.ts'
import { until } from '../../waiting.ts'
import { clock, LineLog, random } from './connections.ts'

const RETRY_MS = 50
const PATIENCE = { timeoutMs: 20_000 }
const PAYLOAD = Buffer.from('x')

const ALL = '">"'
const WITHOUT_WORK = '{ allow: ">", deny: "work.>" }'
const WITHOUT_CHANGES = '{ allow: ">", deny: "troupe.*.registry.>" }'

/** @param hear what the user may hear */
function users(hear: string, say = ALL): string {
  return `authorization { users: [
    { user: node, password: secret, permissions { publish: ${say}, subscribe: ${hear} } }
    { user: asker, password: secret }
  ] }`
}

interface Party {
  connection: Connection
  transport: NatsTransport
  log: LineLog
}

async function signIn(server: NatsServer, user: string): Promise<Party> {
  const log = new LineLog()
  const options = { servers: [server.url], user, password: 'secret' }
  const deps = { options, name: user, clock, random, log, refusedRetryMs: RETRY_MS }
  const connection = await new NatsConnector(deps).open({ reconnect: true })
  const transport = new NatsTransport({ connection, clock, log })
  onTestFinished(async () => {
    transport.close()
    await connection.close()
  })
  return { connection, transport, log }
}

function ask({ transport }: Party, subject: string): Promise<TransportOutcome['kind']> {
  return new Promise((resolve) => {
    const request = { subject, payload: PAYLOAD, timeoutMs: 5_000 }
    transport.request(request, ({ kind }) => resolve(kind))
  })
}

describe.skipIf(missingNatsServer)('rights that a server takes away while we are connected', () => {
  let server: NatsServer
  let node: Party
  let asker: Party
  beforeEach(async () => {
    server = await startNatsServer({ config: users(ALL) })
    onTestFinished(() => server.close())
    node = await signIn(server, 'node')
    asker = await signIn(server, 'asker')
  })

  it('are noticed, and what they refused is heard again once they are back', async () => {
    const subjects = ['work.alone', 'work.grouped', 'other']
    let answers = 0
    for (const subject of subjects) {
      const options = subject === 'work.grouped' ? { queue: 'nodes' } : {}
      node.transport.subscribe(subject, options, ({ reply }) => {
        answers += 1
        reply?.(PAYLOAD)
      })
    }
    await node.connection.nats.flush()
    const outcomes = () => Promise.all(subjects.map((subject) => ask(asker, subject)))
    expect(await outcomes()).toEqual(['reply', 'reply', 'reply'])
    expect(node.connection.rights.refusals()).toEqual([])
    expect(node.transport.connection()).toBe(1)

    await server.reload(users(WITHOUT_WORK))
    const refused = () => node.connection.rights.refusals().map(({ subject }) => subject)
    await until(
      () => refused().length === 2,
      PATIENCE,
      () => `two are refused: ${refused()}`,
    )
    expect(refused().sort()).toEqual(['work.alone', 'work.grouped'])
    expect(await outcomes()).toEqual(['no-responders', 'no-responders', 'reply'])
    expect(node.transport.connection(), 'it does not bring all').toBeUndefined()
    const told = node.log.lines.filter(({ level }) => level === 'error')
    expect(told.map(({ fields }) => fields['subject']).sort(), 'each once').toEqual(
      refused().sort(),
    )

    await server.reload(users(ALL))
    const isBack = () => node.log.said('hear again what it had refused')
    await until(isBack, PATIENCE, 'it is heard again')
    expect([refused(), node.transport.connection()]).toEqual([[], 1])
    answers = 0
    expect(await outcomes()).toEqual(['reply', 'reply', 'reply'])
    expect(answers, 'nothing is heard twice').toBe(3)
  })

  it('are said of what nobody may send, for as long as it is tried', async () => {
    asker.transport.subscribe('work.alone', {}, ({ reply }) => reply?.(PAYLOAD))
    await server.reload(users(ALL, WITHOUT_WORK))
    await until(
      async () => (await ask(node, 'work.alone')) === 'no-responders',
      PATIENCE,
      'a request that may not be sent',
    )
    expect(node.connection.rights.refusals()).toEqual([
      { operation: 'publish', subject: 'work.alone' },
    ])
  })

  it('leave no gap in what is known of the registry', async () => {
    const { connection, log } = node
    const shared = { cluster: 'c', replicas: 1, clock, log }
    const registry = await NatsRegistry.open({ ...shared, connection })
    onTestFinished(() => registry.close())
    const told: string[] = []
    registry.watch('leader.', (key) => told.push(key))
    await connection.nats.flush()
    await server.reload(users(WITHOUT_CHANGES))
    await until(() => connection.rights.refusals().length > 0, PATIENCE, 'a refusal')
    const claimed = new Promise((resolve) => registry.claim('leader.1', PAYLOAD, resolve))
    expect(await claimed).toEqual({ kind: 'won' })
    expect(told).toEqual([])
    await server.reload(users(ALL))
    await until(() => told.includes('leader.1'), PATIENCE, 'word of what was missed')
  })
})

it('refusals of endless subjects do not hide those of later', () => {
  const time = new VirtualClock()
  const nats = {
    subscribe: () => nothing(),
    flush: nothing,
    isClosed: nothing,
    isDraining: nothing,
  }
  const log = new LineLog()
  const rights = new Rights({ nats, clock: time, log })
  for (let n = 0; n < 1_500; n++) rights.refuse({ operation: 'publish', subject: `actor.${n}` })
  expect(rights.refusals().length).toBe(1_000)
  time.advance(60_000)
  const later = { operation: 'publish', subject: 'journal.1' }
  rights.refuse(later)
  expect(rights.refusals()).toEqual([later])
})

function nothing(): never {
  throw new Error('nobody asks the server for that')
}
