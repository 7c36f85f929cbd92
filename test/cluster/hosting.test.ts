/** How long the only host of a machine may be away. */
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { Hosting } from '../../src/cluster/hosting.ts'
import { DEFAULT_CLUSTER_LIMITS as limits } from '../../src/cluster/limits.ts'
import type { View } from '../../src/cluster/view.ts'
import { NO_WISHES } from '../../src/cluster/wishes.ts'
import { LineLog } from '../adapters/nats/connections.ts'
import { host } from '../shard/support.ts'
import { Cluster } from './nodes.ts'

const { machineAbsenceMs } = limits
const rare = host('rare', {})

function viewWith(unhosted: readonly string[] = []): View {
  const needs = new Map([
    ['order', 1],
    ['mail', 1],
  ])
  return {
    ...{ leaderEpoch: 1, version: 1, members: [], owners: [null], standbys: [null] },
    ...{ former: [[]], needs: [needs], unhosted, wishes: NO_WISHES },
  }
}

const staying = (...machines: string[]) => ({
  machines: new Map(machines.map((machine) => [machine, 1])),
  leaving: false,
  weight: 1,
})
const leaving = (...machines: string[]) => ({ ...staying(...machines), leaving: true })
/** One that takes no shards, such as a gateway. */
const idle = (...machines: string[]) => ({ ...staying(...machines), weight: 0 })

describe('a machine', () => {
  function leader() {
    const clock = new VirtualClock()
    const hosting = new Hosting({ clock, limits, log: silentLog })
    const epoch = { now: 1 }
    const of = (live: Parameters<Hosting['unhosted']>[2], before: readonly string[] = []) => [
      ...hosting.unhosted(epoch.now, viewWith(before), live),
    ]
    return { clock, epoch, of }
  }

  it('is waited for as long as its host takes to come back, each time anew', () => {
    const { clock, of } = leader()
    for (let times = 0; times < 3; times++) {
      expect(of([staying('order')])).toEqual([])
      clock.advance(machineAbsenceMs - 1)
      expect(of([staying('order')])).toEqual([])
      expect(of([staying('order'), staying('mail')])).toEqual([])
      clock.advance(1)
    }
    expect(of([staying('order')])).toEqual([])
    clock.advance(machineAbsenceMs)
    expect(of([staying('order')])).toEqual(['mail'])
    expect(of([staying('order'), staying('mail')], ['mail']), 'it is back').toEqual([])
  })

  it('is spoken of once for each change', () => {
    const clock = new VirtualClock()
    const log = new LineLog()
    const hosting = new Hosting({ clock, limits, log })
    const look = (...machines: string[]) => hosting.unhosted(1, viewWith(), [staying(...machines)])
    const said = () => log.lines.splice(0).map(({ level, fields }) => [level, fields['machines']])
    look('order')
    clock.advance(machineAbsenceMs)
    look('order')
    expect(said()).toEqual([['error', ['mail']]])
    // The view that says so is on its way.
    look('order')
    look('order')
    expect(said()).toEqual([])
    look('order', 'mail')
    look('order', 'mail')
    expect(said()).toEqual([['info', ['mail']]])
  })

  it('is not waited for again by the next leader', () => {
    const { of } = leader()
    expect(of([staying('order')], ['mail'])).toEqual(['mail'])
  })

  it('is waited for by a leader from when it begins to lead', () => {
    const { clock, epoch, of } = leader()
    of([staying('order')])
    clock.advance(machineAbsenceMs)
    epoch.now += 1
    expect(of([staying('order')])).toEqual([])
  })

  it.each([
    ['is leaving', leaving],
    ['takes no shards', idle],
  ])('that only who %s hosts is away, unless it is so of all', (_name, other) => {
    const { clock, of } = leader()
    const some = [staying('order'), other('order', 'mail')]
    const all = [other('order'), other('mail')]
    of(some)
    clock.advance(machineAbsenceMs)
    expect(of(some)).toEqual(['mail'])
    expect(of(all)).toEqual([])
    clock.advance(machineAbsenceMs)
    expect(of(all)).toEqual([])
  })
})

describe('a shard with actors of a machine that only one node hosts', () => {
  async function started() {
    const cluster = new Cluster()
    for (const name of ['a', 'b', 'c']) cluster.node(name)
    cluster.at('c').others = [rare]
    for (const node of cluster.nodes.values()) node.restart()
    await cluster.until(() => cluster.isSettled(), 'they come up')
    const ofC = cluster.served().flatMap((name, shard) => (name === 'c' ? [shard] : []))
    expect(ofC.length).toBeGreaterThanOrEqual(2)
    const withOthers = () => ofC.filter((shard) => ['a', 'b'].includes(cluster.served()[shard]!))
    return { cluster, c: cluster.at('c'), ofC, withOthers }
  }

  it('waits while that is silent for a moment', async () => {
    const { cluster, c, ofC, withOthers } = await started()
    c.kill()
    for (let ms = 0; ms < machineAbsenceMs; ms += 1_000) {
      await cluster.settle(1_000)
      expect(withOthers()).toEqual([])
    }
    expect(cluster.view().members.map(({ name }) => name)).toEqual(['a', 'b'])
    c.restart()
    await cluster.until(() => cluster.isSettled(), 'it is back')
    expect(ofC.map((shard) => cluster.served()[shard])).toEqual(ofC.map(() => 'c'))
  })

  it('goes to others when that stays away, and back to it', async () => {
    const { cluster, c, ofC, withOthers } = await started()
    c.kill()
    await cluster.until(() => withOthers().length === ofC.length, 'others take them')
    expect(cluster.leader().said('error', 'nobody hosts these machines')).toHaveLength(1)
    c.restart()
    await cluster.until(() => cluster.isSettled(), 'it is back')
    expect(ofC.map((shard) => cluster.served()[shard])).toEqual(ofC.map(() => 'c'))
  })
})
