/** What only the node that leads can say, asked from any node. */
import { afterEach, expect, it } from 'vitest'
import { MemoryTransport } from '../../src/adapters/memory/index.ts'
import { SystemClock, silentLog } from '../../src/adapters/system/index.ts'
import {
  type AppContext,
  createGateway,
  defineApp,
  type Gateway,
  TroupeError,
} from '../../src/index.ts'
import { ClusterLeader } from '../../src/node/leader-line.ts'
import { Peers } from '../../src/node/peers.ts'
import { subjectsOf } from '../../src/protocol/index.ts'
import { startRig } from '../gateway/rig.ts'
import { until } from '../waiting.ts'
import { ClusterRig } from './cluster-rig.ts'

const statistics = defineApp({
  name: 'statistics',
  leaderReports: ({ node }) => ({
    stats: (told) => ({ by: node, told }),
    broken: () => {
      throw new TroupeError('conflict', 'nothing to count')
    },
  }),
  routes: ({ leader }) => [
    {
      method: 'GET',
      path: '/leader/stats',
      handle: async ({ query }) => ({ body: await leader.ask('stats', query.get('of') ?? 'all') }),
    },
    {
      method: 'GET',
      path: '/leader/broken',
      handle: async () => ({ body: await leader.ask('broken') }),
    },
    {
      method: 'GET',
      path: '/leader/unknown',
      handle: async () => ({ body: await leader.ask('unknown') }),
    },
  ],
})

const gateways: Gateway[] = []
let rig: ClusterRig | undefined

afterEach(async () => {
  await Promise.all(gateways.splice(0).map((gateway) => gateway.close({ graceMs: 0 })))
  await rig?.close()
  rig = undefined
})

async function ask(url: string, path: string) {
  const response = await fetch(`${url}${path}`)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

it('is the same from every node, failures too, and comes from the next leader when one is gone', async () => {
  rig = new ClusterRig([statistics])
  await rig.startAll('a', 'b', 'c')
  const leader = (await rig.settled()).leader!.name
  for (const { node } of rig.up) {
    const gateway = await createGateway({ node, port: 0 })
    gateways.push(gateway)
    const { url } = gateway
    expect(await ask(url, '/leader/stats?of=x')).toEqual({
      status: 200,
      body: { by: leader, told: 'x' },
    })
    expect(await ask(url, '/leader/broken')).toMatchObject({
      status: 409,
      body: { error: { code: 'conflict', message: 'nothing to count' } },
    })
    expect((await ask(url, '/leader/unknown')).status).toBe(404)
  }
  const url = gateways[rig.up.findIndex(({ name }) => name !== leader)]!.url
  rig.at(leader).kill()
  const { status, body } = await ask(url, '/leader/stats')
  expect(status, JSON.stringify(body)).toBe(200)
  expect(body['by']).not.toBe(leader)
})

it('comes from a leader that is still starting', async () => {
  rig = new ClusterRig([])
  let goOn: (() => void) | undefined
  const start = () =>
    new Promise<void>((resolve) => {
      goOn = resolve
    })
  const slow = defineApp({
    name: 'slow',
    daemons: () => [{ name: 'slow', start, stop: async () => {} }],
  })
  const leaders = new Map<string, AppContext['leader']>()
  const counting = defineApp({
    name: 'counting',
    leaderReports: ({ node, leader }) => {
      leaders.set(node, leader)
      return { stats: () => node }
    },
  })
  const starting = rig.start('a', { apps: [slow, counting] })
  await until(() => goOn !== undefined, { timeoutMs: 10_000 }, 'a, which leads')
  await rig.start('b', { apps: [counting] })
  expect(await leaders.get('b')!.ask('stats')).toBe('a')
  goOn!()
  await starting
})

it('an answer that is too large to be sent is no silence', async () => {
  const clock = new SystemClock()
  const transport = new MemoryTransport({ clock, payloadBytesMax: 1_000 })
  const peersOf = (name: string) =>
    new Peers({ name, transport, subjects: subjectsOf('test'), log: silentLog })
  const b = peersOf('b')
  b.listen()
  b.on('leader', () => ['ok', 'x'.repeat(2_000)])
  const line = new ClusterLeader({
    ...{ name: 'a', peers: peersOf('a'), clock },
    leader: () => 'b',
    leads: () => false,
  })
  await expect(line.ask('stats')).rejects.toMatchObject({
    code: 'too-large',
    message:
      'the answer of the node b, which leads the cluster, is larger than the 1000 bytes that can be sent (max_payload)',
  })
  await expect(line.ask('stats', 'x'.repeat(2_000))).rejects.toMatchObject({
    message: expect.stringContaining('a question to the node b'),
  })
  transport.close()
})

it('says plainly that nobody leads, or that the leader is silent', async () => {
  const clock = new SystemClock()
  const transport = new MemoryTransport({ clock })
  const peers = new Peers({ name: 'a', transport, subjects: subjectsOf('test'), log: silentLog })
  let leader: string | undefined
  const line = new ClusterLeader({
    ...{ name: 'a', peers, clock },
    leader: () => leader,
    leads: () => false,
  })
  line.on('stats', () => 1)
  const asked = () => line.ask('stats', null, { timeoutMs: 300 })
  await expect(asked()).rejects.toMatchObject({
    ...{ code: 'unavailable', message: 'nobody leads the cluster now' },
  })
  leader = 'b'
  await expect(asked()).rejects.toMatchObject({
    code: 'no-answer',
    message: 'the node b, which leads the cluster, does not answer',
  })
  leader = 'a'
  await expect(asked(), 'it was heard to lead, and may not').rejects.toMatchObject({
    code: 'unavailable',
    message: 'the node a does not lead the cluster now',
  })
  transport.close()
})

it('is waited for as long as asked, and no longer', async () => {
  const clock = new SystemClock()
  const transport = new MemoryTransport({ clock })
  const subjects = subjectsOf('test')
  transport.subscribe(subjects.node('still'), {}, () => {})
  const peers = new Peers({ name: 'a', transport, subjects, log: silentLog })
  let leader = 'still'
  const line = new ClusterLeader({
    ...{ name: 'a', peers, clock },
    leader: () => leader,
    leads: () => true,
  })
  line.on('endless', () => new Promise(() => {}))
  const beganAtMs = clock.monotonic()
  const noAnswer = { code: 'no-answer' }
  await expect(line.ask('endless', null, { timeoutMs: 50 })).rejects.toMatchObject(noAnswer)
  leader = 'a'
  await expect(line.ask('endless', null, { timeoutMs: 50 })).rejects.toMatchObject(noAnswer)
  expect(clock.monotonic() - beganAtMs).toBeLessThan(1_500)
  transport.close()
})

it('is said by a node that is alone itself', async () => {
  const alone = await startRig({ apps: [statistics] })
  const { status, body } = await ask(alone.gateway.url, '/leader/stats')
  await alone.close()
  expect(status).toBe(200)
  expect(body).toMatchObject({ told: 'all' })
})
