/** What operators order of a cluster, by whichever node they ask. */
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startRig } from '../gateway/rig.ts'
import { until } from '../waiting.ts'
import { ClusterRig, type RigNode, SHARDS } from './cluster-rig.ts'
import { counters } from './counters.ts'
import { closeGateways, gatewayOf, troupe } from './gateways.ts'

let rig: ClusterRig

beforeEach(() => {
  rig = new ClusterRig([counters])
})

afterEach(async () => {
  await closeGateways()
  await rig.close()
})

/** Three nodes; `other` does not lead. */
async function three(): Promise<{ leader: RigNode; other: RigNode; third: RigNode }> {
  await rig.startAll('a', 'b', 'c')
  const { leader } = await rig.settled()
  const [other, third] = rig.up.filter(({ name }) => name !== leader?.name)
  return { leader: rig.at(leader!.name), other: other!, third: third! }
}

const owns = (name: string) =>
  rig.up[0]!.report().shards.filter(({ owner }) => owner === name).length

describe('a drain', () => {
  it('is ordered through any node, empties one that goes on, and survives its restart', async () => {
    const { leader, other } = await three()
    const gateway = await gatewayOf(other)
    const tried = await troupe(gateway, 'cluster', 'drain', other.name, '--dry-run')
    expect(tried.out.trim().split('\n')).toHaveLength(owns(other.name))
    expect(tried.out).toContain(`would go from ${other.name} to`)
    const done = await troupe(gateway, 'cluster', 'drain', other.name, '--wait')
    expect(done).toMatchObject({ code: 0, out: `${other.name} is drained\n`, err: '' })
    expect(owns(other.name)).toBe(0)
    expect(other.said('an operator has given an order')).toHaveLength(1)
    expect(leader.said('an operator has given an order')).toHaveLength(1)
    const nodes = (await troupe(gateway, 'cluster', 'nodes')).out
    expect(nodes).toMatch(new RegExp(`^${other.name} +drained .*\\S+, 20\\d\\d-\\S+Z$`, 'm'))
    const status = await troupe(gateway, 'cluster', 'status')
    expect(status, 'it is no trouble').toMatchObject({ code: 0 })
    expect(status.out).toContain(`${other.name} is drained (by `)
    await other.node.client.start('counter/x')
    await other.stop()
    await other.start()
    const again = await gatewayOf(other)
    expect(owns(other.name)).toBe(0)
    expect((await troupe(again, 'cluster', 'drain', other.name, '--undo', '--wait')).code).toBe(0)
    await rig.settled()
    expect(owns(other.name)).toBeGreaterThan(0)
  })

  it('is refused where nobody else could take the shards', async () => {
    const { leader, other, third } = await three()
    const gateway = await gatewayOf(leader)
    for (const name of [leader.name, other.name]) {
      expect((await troupe(gateway, 'cluster', 'drain', name)).code).toBe(0)
    }
    const refused = await troupe(gateway, 'cluster', 'drain', third.name)
    expect(refused.code).toBe(5)
    expect(refused.err).toContain('nobody else could take its shards')
    expect(refused.err).toContain(`${leader.name} is drained`)
    const unknown = await troupe(gateway, 'cluster', 'drain', 'z')
    expect(unknown).toMatchObject({ code: 4, err: expect.stringContaining('z is not there') })
  })

  it('is told as unsure where the leader is gone, and taken by the next one', async () => {
    const { leader, other } = await three()
    const gateway = await gatewayOf(other)
    leader.kill()
    const done = await troupe(gateway, 'cluster', 'drain', other.name)
    expect(done.code, done.err).toBe(0)
    await until(() => owns(other.name) === 0, { timeoutMs: 20_000 }, 'it is drained')
  })
})

describe('a move', () => {
  it('brings a shard to a node and another back, and a pin keeps it there', async () => {
    const { other } = await three()
    const gateway = await gatewayOf(other)
    const to = other.name
    const shard = other.report().shards.find(({ owner }) => owner !== to)!.shard
    const move = ['cluster', 'move', String(shard), to]
    const tried = await troupe(gateway, ...move, '--dry-run')
    expect(tried.out).toMatch(new RegExp(`^${shard} would go from [abc] to ${to}$`, 'm'))
    expect((await troupe(gateway, ...move, '--wait')).code).toBe(0)
    const moved = await rig.settled()
    expect(moved.shards[shard]!.owner).toBe(to)
    expect(moved.shards[shard]!.move, 'it is over').toBeNull()
    expect((await troupe(gateway, ...move, '--pin')).out).toBe('no shard gets another owner\n')
    const shards = (await troupe(gateway, 'cluster', 'shards')).out
    expect(shards).toMatch(new RegExp(`^${shard} .*pinned to ${to}$`, 'm'))
    const away = ['a', 'b', 'c'].find((name) => name !== to)!
    const refused = await troupe(gateway, 'cluster', 'move', String(shard), away)
    expect(refused).toMatchObject({ code: 5, err: expect.stringContaining('unpin it first') })
    expect((await troupe(gateway, 'cluster', 'unpin', String(shard))).code).toBe(0)
    await until(
      () => other.report().shards[shard]!.move === null,
      { timeoutMs: 10_000 },
      'it is unpinned',
    )
  })

  it('is refused for what is no shard and no node, and for whoever is no administrator', async () => {
    const { other } = await three()
    const gateway = await gatewayOf(other)
    expect((await troupe(gateway, 'cluster', 'move', 'x', 'a')).code).toBe(2)
    expect((await troupe(gateway, 'cluster', 'move', String(SHARDS), 'a')).code).toBe(4)
    expect((await troupe(gateway, 'cluster', 'move', '0', 'z')).code).toBe(4)
    const token = 'token-of-an-operator'
    const tokenSha256 = createHash('sha256').update(token).digest('hex')
    const users = [{ name: 'op', tokenSha256, role: 'operate' as const }]
    const guarded = await gatewayOf(other, { users })
    for (const verb of ['drain', 'undrain', 'move', 'unpin']) {
      const response = await fetch(`${guarded.url}/troupe/v1/cluster/${verb}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ node: 'a' }),
      })
      expect(response.status, verb).toBe(403)
    }
  })
})

describe('the metrics of a shard', () => {
  it('say who has it, by which claim, how far its standby is, and how it came there', async () => {
    const { leader, other, third } = await three()
    const gateway = await gatewayOf(other)
    const read = async () => (await fetch(`${gateway.url}/metrics`)).text()
    const shards = other.report().shards
    const own = shards.find(({ owner }) => owner === other.name)!.shard
    const followed = shards.find(({ standby }) => standby === other.name)!.shard
    // What an owner writes its standby has a moment later: of all values this one comes and goes.
    const near = `troupe_standby_lag_slots{shard="${followed}"} 0`
    const nearText = async () => {
      const now = await read()
      return now.includes(near) ? now : undefined
    }
    const text = await until(nearText, { timeoutMs: 20_000 }, near)
    expect(text).toContain(`troupe_shard_owned{shard="${own}"} 1`)
    expect(text).toContain(`troupe_shard_owned{shard="${followed}"} 0`)
    expect(text).toContain(`troupe_shard_followed{shard="${followed}"} 1`)
    expect(text).toMatch(new RegExp(`^troupe_epoch\\{shard="${own}"\\} [1-9]\\d*$`, 'm'))
    expect(text).toContain('troupe_leads 0')
    const counted = (name: string, shard: number, from: string) =>
      Number(new RegExp(`^${name}\\{shard="${shard}"\\} (\\d+)$`, 'm').exec(from)?.[1])
    const handovers = counted('troupe_handovers_total', followed, text)
    const away = await troupe(gateway, 'cluster', 'move', String(followed), other.name, '--wait')
    expect(away.code, away.err).toBe(0)
    await rig.settled()
    const then = await read()
    expect(counted('troupe_handovers_total', followed, then)).toBe(handovers + 1)
    expect(then).toMatch(new RegExp(`^troupe_handover_pause_ms\\{shard="${followed}"\\}`, 'm'))
    const takeovers = () =>
      [other, leader].flatMap(({ node }) => node.membership!.seats().map((one) => one.takeovers))
    const sum = (counts: readonly number[]) => counts.reduce((all, count) => all + count, 0)
    const before = sum(takeovers())
    expect(then).toContain(`troupe_takeovers_total{shard="${own}"} ${takeovers()[own]}`)
    const lost = (await rig.settled()).nodes.find(({ name }) => name === third.name)!.owns
    third.kill()
    await rig.settled()
    expect(sum(takeovers())).toBe(before + lost)
  })
})

describe('a node that stops', () => {
  it('is not ready, and answers for all actors until others have what it served', async () => {
    const { other, third } = await three()
    const gateway = await gatewayOf(other)
    const call = (path: string) => fetch(`${gateway.url}${path}`)
    const addresses = Array.from({ length: 12 }, (_, n) => `counter/s${n}`)
    for (const address of addresses) await other.node.client.start(address)
    const statuses = new Set<number>()
    let isOver = false
    const done = other.node.handOver().then(() => {
      isOver = true
    })
    expect((await call('/ready')).status).toBe(503)
    while (!isOver) {
      for (const address of addresses) {
        statuses.add((await call(`/troupe/v1/actors/${address}`)).status)
      }
    }
    await done
    expect(other.report().shards.filter(({ servedBy }) => servedBy.includes(other.name))).toEqual(
      [],
    )
    for (const address of addresses) {
      statuses.add((await call(`/troupe/v1/actors/${address}`)).status)
    }
    expect([...statuses]).toEqual([200])
    await gateway.close()
    await other.stop()
    expect(third.report().shards.map(({ owner }) => owner)).not.toContain(other.name)
  })

  it('is not ready either where it has nobody to hand over to, and answers still', async () => {
    const alone = await startRig()
    await alone.node.handOver()
    const { ready, reasons } = await alone.node.ready()
    const response = await fetch(`${alone.gateway.url}/troupe/v1/machines`)
    await alone.close()
    expect({ ready, reasons }).toEqual({ ready: false, reasons: ['the node is stopping'] })
    expect(response.status).toBe(200)
  })
})
