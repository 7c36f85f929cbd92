/** Who leads: claims, silence, confirmation by the own clock, and a registry that does not answer. */
import { describe, expect, it } from 'vitest'
import {
  MemoryRegistry,
  MemoryStore,
  MemoryTransport,
  type RegistryFault,
  SeededRandom,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { Election } from '../../src/cluster/election.ts'
import { DEFAULT_CLUSTER_LIMITS as limits } from '../../src/cluster/limits.ts'
import type { Registry } from '../../src/ports/index.ts'
import { pack, subjectsOf } from '../../src/protocol/index.ts'
import { Gate, GatedClock, GatedTransport, gatedRegistry } from './gate.ts'

const subjects = subjectsOf('test')
const ELECTED_MS = limits.leaderSilenceMs + limits.leaderJitterMs + 100

class World {
  readonly clock = new VirtualClock()
  readonly registry = new MemoryRegistry({ clock: this.clock })
  readonly transport = new MemoryTransport({ clock: this.clock })
  readonly random = new SeededRandom(5)
  readonly beats: number[] = []

  constructor() {
    this.transport.subscribe(subjects.leader(), {}, () => this.beats.push(this.clock.monotonic()))
  }

  candidate(
    name: string,
    more: {
      registry?: Registry
      store?: MemoryStore
      bootId?: string
      jitterMs?: number
      hasListened?: boolean
    } = {},
  ) {
    const gate = new Gate()
    const clock = new GatedClock(this.clock, gate)
    const store = more.store ?? new MemoryStore({ clock })
    const transport = new GatedTransport(this.transport, gate)
    const changes: (number | undefined)[] = []
    const election: Election = new Election({
      ...{ name, bootId: more.bootId ?? `${name}-1`, clock, store, transport, subjects },
      limits: { ...limits, leaderJitterMs: more.jitterMs ?? limits.leaderJitterMs },
      random: this.random.fork(name),
      log: silentLog,
      hasListened: () => more.hasListened ?? true,
      registry: gatedRegistry(more.registry ?? this.registry, gate),
      changed: () => changes.push(election.epoch),
      failed: (why) => {
        throw new Error(why)
      },
    })
    election.start()
    return { election, gate, transport, store, changes }
  }

  claims(): Promise<string[]> {
    return this.keys().then((keys) => keys.map((key) => key.slice('leader.'.length)))
  }

  private async keys(): Promise<string[]> {
    let keys: string[] = []
    this.registry.list('leader.', (outcome) => {
      if (outcome.kind === 'listed') keys = outcome.entries.map(({ key }) => key)
    })
    await this.clock.settle()
    return keys
  }
}

describe('an election', () => {
  it('has one winner, who is heard and stays', async () => {
    const world = new World()
    const all = ['a', 'b', 'c'].map((name) => world.candidate(name))
    await world.clock.settle(ELECTED_MS)
    const epochs = () => all.map(({ election }) => election.epoch)
    expect(epochs().filter((epoch) => epoch === 1)).toHaveLength(1)
    const before = epochs()
    await world.clock.settle(60_000)
    expect(epochs()).toEqual(before)
    expect(await world.claims()).toEqual(['1'])
    const names = all.map(({ election }) => election.leader?.name)
    expect(new Set(names).size).toBe(1)
  })

  it('of two that claim in the same moment one wins', async () => {
    const world = new World()
    const registry: Registry = Object.create(world.registry) as Registry
    // Both have listed before either claims.
    registry.claim = (key, value, done) =>
      void world.clock.after(5, () => world.registry.claim(key, value, done))
    const both = ['a', 'b'].map((name) => world.candidate(name, { jitterMs: 1, registry }))
    // Nor do they hear each other: the claim alone tells.
    for (const { transport } of both) transport.lost.add(subjects.leader())
    await world.clock.settle(limits.leaderSilenceMs / 2)
    const [winner, loser] = both[0]!.election.epoch === 1 ? both : both.toReversed()
    expect([winner!.election.epoch, loser!.election.epoch]).toEqual([1, undefined])
    expect(loser!.changes, 'not even for a moment').toEqual([])
    expect(await world.claims()).toEqual(['1'])
  })

  it('waits for the silence of a leader, and takes the next epoch', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    const b = world.candidate('b')
    await world.clock.settle(20_000)
    expect(b.election.epoch).toBeUndefined()
    expect(b.election.leader).toEqual({ name: 'a', bootId: 'a-1', epoch: 1 })
    a.gate.shut()
    await world.clock.settle(limits.leaderSilenceMs - limits.leaderBeatMs - 100)
    expect(b.election.epoch).toBeUndefined()
    await world.clock.settle(limits.leaderBeatMs + limits.leaderJitterMs + 200)
    expect(b.election.epoch).toBe(2)
  })

  it('has no silence to wait for where nobody has ever claimed', async () => {
    const world = new World()
    const all = ['a', 'b', 'c'].map((name) => world.candidate(name))
    await world.clock.settle(100)
    expect(all.flatMap(({ election }) => election.epoch ?? [])).toEqual([1])
    expect(await world.claims()).toEqual(['1'])
  })

  it('waits where only the registry has forgotten who leads', async () => {
    const world = new World()
    const store = new MemoryStore({ clock: world.clock })
    const a = world.candidate('a', { store })
    a.election.saw(41)
    await world.clock.settle(10)
    a.gate.shut()
    const again = world.candidate('a', { store, bootId: 'a-2' })
    await world.clock.settle(limits.leaderSilenceMs - 1)
    expect(again.election.epoch).toBeUndefined()
    await world.clock.settle(ELECTED_MS)
    expect(again.election.epoch).toBe(42)
  })

  it('does not wait for the silence of a leader that is known to have ended', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    const b = world.candidate('b')
    await world.clock.settle(ELECTED_MS)
    a.gate.shut()
    for (const other of [
      { name: 'a', bootId: 'a-2' },
      { name: 'b', bootId: 'a-1' },
    ]) {
      b.election.gone(other)
      await world.clock.settle(limits.memberProbeMs + 100)
      expect(b.election.epoch, 'that was not the leader').toBeUndefined()
    }
    b.election.gone({ name: 'a', bootId: 'a-1' })
    expect(b.election.leader, 'nobody is known to lead').toBeUndefined()
    await world.clock.settle(limits.memberProbeMs + 100)
    expect(b.election.epoch).toBe(2)
  })

  it.each([
    ['at once', true, limits.memberProbeMs + 100],
    ['after the silence, by who may not know everybody', false, ELECTED_MS],
  ])('follows when a leader stops: %s', async (_when, hasListened, withinMs) => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    const b = world.candidate('b', { hasListened })
    await world.clock.settle(10 * limits.leaderBeatMs)
    a.election.stop()
    await world.clock.settle(withinMs === ELECTED_MS ? limits.leaderSilenceMs - 1 : 0)
    expect(b.election.epoch).toBeUndefined()
    await world.clock.settle(withinMs)
    expect(b.election.epoch).toBe(2)
  })

  it('an end that is heard while the next epoch is claimed changes nothing', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    const b = world.candidate('b')
    await world.clock.settle(ELECTED_MS)
    world.registry.failNext({ on: 'claim', happened: true, count: 1 })
    a.gate.shut()
    b.election.gone({ name: 'a', bootId: 'a-1' })
    await world.clock.settle(limits.memberProbeMs + 20)
    expect(b.election.epoch, 'it does not know yet that it has won').toBeUndefined()
    world.transport.publish(subjects.leader(), pack([1, 'a', 'a-1', 'ends']))
    await world.clock.settle(limits.registryRetryMs + 100)
    expect(b.election.epoch).toBe(2)
  })

  it('the end of a leader of long ago counts for nothing', async () => {
    const world = new World()
    const a = world.candidate('a')
    const b = world.candidate('b')
    await world.clock.settle(ELECTED_MS)
    const leads = () => [a, b].flatMap(({ election }) => election.epoch ?? [])
    world.transport.publish(subjects.leader(), pack([0, 'old', 'old-1', 'ends']))
    await world.clock.settle(limits.leaderSilenceMs / 2)
    expect(leads()).toEqual([1])
    expect(await world.claims()).toEqual(['1'])
  })

  it('a leader that cannot confirm itself stops by its own clock, and goes on when it can', async () => {
    const world = new World()
    let isDown = false
    const registry: Registry = Object.create(world.registry) as Registry
    registry.list = (prefix, done) => {
      if (isDown) world.clock.defer(() => done({ kind: 'unknown', why: 'down' }))
      else world.registry.list(prefix, done)
    }
    const a = world.candidate('a', { registry })
    await world.clock.settle(ELECTED_MS)
    expect(a.election.epoch).toBe(1)
    isDown = true
    const downAt = world.clock.monotonic()
    await world.clock.settle(limits.leaderSilenceMs / 2 - limits.leaderBeatMs)
    expect(a.election.epoch).toBe(1)
    await world.clock.settle(limits.leaderBeatMs + 1)
    expect(a.election.epoch).toBeUndefined()
    await world.clock.settle(5_000)
    const late = world.beats.filter((at) => at > downAt)
    expect(late, 'and is not heard meanwhile').toEqual([])
    isDown = false
    await world.clock.settle(limits.leaderBeatMs + 1)
    expect(a.election.epoch).toBe(1)
  })

  it('a leader that stood still may not act when it wakes, before it has looked', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    const b = world.candidate('b')
    a.gate.hold()
    await world.clock.settle(2 * ELECTED_MS)
    expect(b.election.epoch).toBe(2)
    expect(a.election.epoch, 'by its own clock').toBeUndefined()
    // It hears nothing of what it missed: the claims tell.
    b.transport.lost.add(subjects.leader())
    a.gate.release()
    expect(a.election.epoch).toBeUndefined()
    await world.clock.settle(2_000)
    expect(a.election.epoch).toBeUndefined()
    expect(b.election.epoch).toBe(2)
  })

  it('ends where the leader does not hear the others, whatever the registry says', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    expect(a.election.epoch).toBe(1)
    const b = world.candidate('b')
    await world.clock.settle(limits.leaderBeatMs)
    a.transport.isDeaf = true
    await world.clock.settle(limits.leaderSilenceMs / 2 + limits.leaderBeatMs)
    expect(a.election.epoch).toBeUndefined()
    await world.clock.settle(2 * ELECTED_MS)
    expect([a.election.epoch, b.election.epoch]).toEqual([undefined, 2])
    b.gate.hold()
    a.transport.isDeaf = false
    await world.clock.settle(3 * ELECTED_MS)
    expect(a.election.epoch).toBe(3)
  })

  it('is not won by who does not hear the others', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    const b = world.candidate('b')
    await world.clock.settle(limits.leaderBeatMs)
    b.transport.isDeaf = true
    await world.clock.settle(3 * ELECTED_MS)
    expect(await world.claims()).toEqual(['1'])
    a.gate.hold()
    b.transport.isDeaf = false
    await world.clock.settle(3 * ELECTED_MS)
    expect(b.election.epoch).toBe(2)
  })

  it('the time of a confirmation is when it was asked for', async () => {
    const world = new World()
    let delayMs = 0
    const registry: Registry = Object.create(world.registry) as Registry
    registry.list = (prefix, done) => {
      world.registry.list(prefix, (outcome) => void world.clock.after(delayMs, () => done(outcome)))
    }
    const a = world.candidate('a', { registry })
    await world.clock.settle(ELECTED_MS)
    delayMs = limits.leaderSilenceMs / 2 + 10
    await world.clock.settle(20_000)
    expect(a.election.epoch).toBeUndefined()
  })

  it('a higher epoch deposes, whether it is heard, listed or seen in a view', async () => {
    const claim = (world: World) =>
      world.registry.claim('leader.7', pack(['z', 'z-1']), () => undefined)
    const ways: ((world: World, election: Election) => void)[] = [
      (world) => world.transport.publish(subjects.leader(), pack([7, 'z', 'z-1'])),
      claim,
      (_world, election) => election.saw(7),
    ]
    for (const way of ways) {
      const world = new World()
      const a = world.candidate('a')
      await world.clock.settle(ELECTED_MS)
      expect(a.election.epoch).toBe(1)
      way(world, a.election)
      await world.clock.settle(limits.leaderBeatMs + 1)
      expect(a.election.epoch).toBeUndefined()
      expect(a.changes).toEqual([1, undefined])
      await world.clock.settle(ELECTED_MS)
      expect(a.election.epoch, 'nobody is there: it goes on, above').toBe(8)
    }
  })

  it('a claim that is news gets the time to be heard', async () => {
    const world = new World()
    world.registry.claim('leader.3', pack(['z', 'z-1']), () => undefined)
    const a = world.candidate('a')
    await world.clock.settle(limits.leaderSilenceMs - 1)
    expect(a.election.epoch).toBeUndefined()
    expect(await world.claims()).toEqual(['3'])
    await world.clock.settle(ELECTED_MS)
    expect(a.election.epoch).toBe(4)
  })

  it('what is lower than known counts for nothing', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    a.election.saw(5)
    await world.clock.settle(1_000)
    // Of a leader that was deposed long ago: its heartbeats keep nobody from claiming.
    for (let n = 0; n < 20; n++) {
      world.transport.publish(subjects.leader(), pack([3, 'old', 'old-1']))
      await world.clock.settle(500)
    }
    expect(a.election.epoch).toBe(6)
  })

  it('claims are pruned, but never the newest two', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    for (const epoch of [4, 9, 15]) {
      a.election.saw(epoch)
      await world.clock.settle(ELECTED_MS + 2_000)
      expect(a.election.epoch).toBe(epoch + 1)
    }
    world.registry.claim('leader.15', pack(['x', 'x-1']), () => undefined)
    world.registry.claim('leader.14', pack(['x', 'x-1']), () => undefined)
    await world.clock.settle(3_000)
    expect(await world.claims()).toEqual(['15', '16'])
  })

  it('goes on above what its own store remembers, whatever the registry has lost', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    a.election.saw(41)
    await world.clock.settle(ELECTED_MS)
    expect(a.election.epoch).toBe(42)
    a.gate.shut()
    const empty = new MemoryRegistry({ clock: world.clock })
    const store = a.store.crash({ clock: world.clock })
    const again = world.candidate('a', { registry: empty, store, bootId: 'a-2' })
    await world.clock.settle(ELECTED_MS)
    expect(again.election.epoch).toBe(43)
  })

  it('a leader whose claim is gone leads no longer', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    world.registry.remove('leader.1', () => undefined)
    await world.clock.settle(limits.leaderBeatMs + 1)
    expect(a.election.epoch).toBeUndefined()
    await world.clock.settle(ELECTED_MS)
    expect(a.election.epoch).toBe(2)
  })

  it('an earlier life of the same node is another node', async () => {
    const world = new World()
    const a = world.candidate('a')
    await world.clock.settle(ELECTED_MS)
    a.gate.shut()
    const store = a.store.crash({ clock: world.clock })
    const again = world.candidate('a', { bootId: 'a-2', store })
    await world.clock.settle(2_000)
    expect(again.election.epoch, 'the claim is not its own').toBeUndefined()
    await world.clock.settle(ELECTED_MS)
    expect(again.election.epoch).toBe(2)
  })

  const faults: RegistryFault[] = [
    { on: 'claim', happened: true },
    { on: 'claim', happened: false },
    { on: 'claim', happened: true, count: 5 },
    { on: 'claim', happened: false, count: 5 },
    { on: 'list', happened: true, count: 4 },
    { on: 'remove', happened: false, count: 4 },
  ]
  it.each(faults)('an unknown outcome is asked again: %j', async (fault) => {
    const world = new World()
    world.registry.failNext(fault)
    const both = ['a', 'b'].map((name) => world.candidate(name))
    await world.clock.settle(2 * ELECTED_MS)
    const epochs = both.map(({ election }) => election.epoch).filter((epoch) => epoch !== undefined)
    expect(epochs).toHaveLength(1)
    expect(epochs).toEqual([1])
    expect(await world.claims(), 'one is enough').toEqual(['1'])
  })

  it('a claim that is not known to be won is not acted on', async () => {
    const world = new World()
    world.registry.failNext({ on: 'claim', happened: false, count: 1_000 })
    const a = world.candidate('a')
    await world.clock.settle(60_000)
    expect(a.election.epoch).toBeUndefined()
    expect(world.beats).toEqual([])
  })
})
