/** What operators see of a cluster, by HTTP and by the command, and what they can do when a node is gone. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { setup } from 'xstate'
import { defineApp, defineMachine } from '../../src/index.ts'
import { run } from '../cli/rig.ts'
import { startRig } from '../gateway/rig.ts'
import { until } from '../waiting.ts'
import { ClusterRig, SHARDS } from './cluster-rig.ts'
import { closeGateways, gatewayOf, troupe } from './gateways.ts'

const plain = defineMachine({ machine: setup({}).createMachine({ id: 'plain' }), events: {} })
const app = defineApp({
  name: 'plains',
  machines: [plain],
  singletons: [{ machine: 'plain', id: 'only' }],
})

let rig: ClusterRig

beforeEach(() => {
  rig = new ClusterRig([app])
})

afterEach(async () => {
  await closeGateways()
  await rig.close()
})

describe('a cluster that is well', () => {
  it('is shown by every node', async () => {
    const [a, b] = await rig.startAll('a', 'b')
    const { leader } = await rig.settled()
    for (const node of [a!, b!]) {
      const gateway = await gatewayOf(node)
      const status = await troupe(gateway, 'cluster', 'status')
      expect(status.out).toContain(`leader  ${leader!.name} (epoch 1)`)
      expect(status.out).toContain('nodes   2 of 2')
      expect(status.out).toContain(`shards  ${SHARDS} of ${SHARDS} served`)
      expect(status.code).toBe(0)
      expect((await troupe(gateway, 'cluster', 'leader')).out).toBe(`${leader!.name}\n`)
      const nodes = (await troupe(gateway, 'cluster', 'nodes')).out.split('\n')
      expect(nodes[1]).toMatch(/^a +up +(leader)? +4 +4 +4 +1$/)
      const shards = (await troupe(gateway, 'cluster', 'shards')).out.trim().split('\n')
      expect(shards).toHaveLength(SHARDS + 1)
      expect(shards[1]).toMatch(/^0 +([ab]) +\1 +[1-9]\d* +\d+ +[ab] +0$/)
    }
  })

  it('names what an administrator alone may do, and what makes no sense', async () => {
    const [a] = await rig.startAll('a', 'b')
    const gateway = await gatewayOf(a!)
    const unsure = await troupe(gateway, 'cluster', 'give-up', 'b')
    expect(unsure).toMatchObject({ code: 2, err: expect.stringContaining('say --yes') })
    const there = await troupe(gateway, 'cluster', 'give-up', 'b', '--yes')
    expect(there).toMatchObject({ code: 5, err: expect.stringContaining('the node b is there') })
    const nobody = await troupe(gateway, 'cluster', 'give-up', 'z', '--yes')
    expect(nobody).toMatchObject({ code: 0, out: 'no shard waited for z\n' })
    const response = await fetch(`${gateway.url}/troupe/v1/cluster/give-up`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
    expect(response.status).toBe(400)
  })
})

it('a node that runs alone says so', async () => {
  const alone = await startRig()
  const { code, err } = await run(['cluster', 'status'], {
    env: { TROUPE_HTTP: alone.gateway.url },
  })
  await alone.close()
  expect({ code, err }).toMatchObject({ code: 4, err: expect.stringContaining('runs alone') })
})

it('shards whose journal lost its end wait for a dead node until it is given up', async () => {
  const [a, b, c] = await rig.startAll('a', 'b', 'c')
  const { shards } = await rig.settled()
  const owned = shards.filter(({ owner }) => owner === 'c').map(({ shard }) => shard)
  for (const node of [a!, b!, c!]) node.kill()
  for (let shard = 0; shard < SHARDS; shard++) rig.journal.loseLast(shard, 1)
  const place = { joinMs: 1_500 }
  await Promise.all([a!.start({ place }), b!.start({ place })])
  expect(a!.said('goes on without all of its shards')).toHaveLength(1)
  const { ready, reasons } = await a!.node.ready()
  expect(ready).toBe(false)
  expect(reasons).toContainEqual(expect.stringMatching(/^shard \d waits for the records of c$/))
  const gateway = await gatewayOf(a!)
  const status = await troupe(gateway, 'cluster', 'status')
  expect(status.code).toBe(1)
  expect(status.out).toMatch(/shards? waits? for the records of c: start it, or give it up/)
  // Also such as it had until a moment ago: it may have written what nobody else has.
  const waiting = [a!, b!]
    .flatMap((node) => node.report().shards)
    .flatMap(({ shard, waitsFor }) => (waitsFor.includes('c') ? [shard] : []))
  const all = [...new Set(waiting)].sort((x, y) => x - y)
  expect(all).toEqual(expect.arrayContaining(owned))
  const given = await troupe(gateway, 'cluster', 'give-up', 'c', '--yes')
  expect(given.out, 'all nodes have heard it').toBe(`without c go on: shards ${all.join(', ')}\n`)
  await rig.settled()
  expect(await a!.node.ready()).toMatchObject({ ready: true })
  await until(
    async () => (await b!.node.client.get('plain/only')).status === 'active',
    { timeoutMs: 10_000 },
    'singletons are there in the end',
  )
})
