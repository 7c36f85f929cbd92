/** Who is taken for gone: by nobody listening there for a while, and by nothing less. */
import { describe, expect, it } from 'vitest'
import { MemoryTransport, VirtualClock } from '../../src/adapters/memory/index.ts'
import { silentLog } from '../../src/adapters/system/index.ts'
import { DEFAULT_CLUSTER_LIMITS } from '../../src/cluster/limits.ts'
import { type Life, Probes } from '../../src/cluster/probes.ts'
import { subjectsOf } from '../../src/protocol/index.ts'
import { Gate, GatedClock, GatedTransport } from './gate.ts'

const subjects = subjectsOf('test')
/** No whole number of questions: the last one has to come when it is due. */
const limits = { ...DEFAULT_CLUSTER_LIMITS, memberProbeMs: 250, memberGoneMs: 600 }
/** From the next question on. */
const NOTICED_MS = limits.memberProbeMs + limits.memberGoneMs + 5

class World {
  readonly clock = new VirtualClock()
  readonly transport = new MemoryTransport({ clock: this.clock })
  /** Questions, by the node that was asked. */
  readonly asked: string[] = []

  constructor() {
    this.transport.subscribe(subjects.alive('counted'), {}, ({ reply }) => {
      this.asked.push('counted')
      reply?.(Buffer.from('counted-1'))
    })
  }

  /** A node that asks those that it is told to be alive. */
  asker(living: readonly string[], watched: readonly string[] = living) {
    const gate = new Gate()
    const clock = new GatedClock(this.clock, gate)
    const transport = new GatedTransport(this.transport, gate)
    const gone: string[] = []
    const answers: string[] = []
    const heardAtMs = new Map<string, number>()
    const live = new Map(living.map((name) => [name, { name, bootId: `${name}-1` }]))
    const probes: Probes = new Probes({
      ...{ name: 'me', bootId: 'me-1', clock, transport, subjects, limits, log: silentLog },
      live: () => [...live.values(), { name: 'me', bootId: 'me-1' }],
      watches: ({ name }) => watched.includes(name),
      heardAtMs: ({ name }) => heardAtMs.get(name),
      answered: ({ name }) => answers.push(name),
      gone: ({ name, bootId }) => {
        if (live.get(name)?.bootId !== bootId) return
        gone.push(name)
        live.delete(name)
      },
    })
    probes.start()
    return { probes, gate, transport, live, gone, answers, heardAtMs }
  }

  /** A node that is asked. */
  node(name: string, boot = 1) {
    const gate = new Gate()
    const clock = new GatedClock(this.clock, gate)
    const transport = new GatedTransport(this.transport, gate)
    const life: Life = { name, bootId: `${name}-${boot}` }
    const probes = new Probes({
      ...{ ...life, clock, transport, subjects, limits, log: silentLog },
      ...{ live: () => [], watches: () => false, heardAtMs: () => undefined },
      ...{ answered: () => {}, gone: () => {} },
    })
    probes.start()
    return { gate, transport, stop: () => probes.stop() }
  }
}

describe('a node whose process has ended', () => {
  it('is gone long before its silence would say so; who answers is not', async () => {
    const world = new World()
    const a = world.node('a')
    world.node('b')
    const me = world.asker(['a', 'b'])
    await world.clock.settle(20_000)
    expect(me.gone).toEqual([])
    a.gate.shut()
    await world.clock.settle(limits.memberGoneMs - 1)
    expect(me.gone, 'once is not enough').toEqual([])
    await world.clock.settle(NOTICED_MS - limits.memberGoneMs)
    expect(me.gone).toEqual(['a'])
    await world.clock.settle(20_000)
    expect(me.gone, 'and that is said once').toEqual(['a'])
  })

  it('also when it died with a question', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    const { length } = me.answers
    while (me.answers.length === length) await world.clock.settle(1)
    a.gate.hold()
    // The next one is on its way when it dies.
    await world.clock.settle(limits.memberProbeMs + 5)
    a.gate.shut()
    await world.clock.settle(limits.memberProbeMs + limits.memberGoneMs)
    expect(me.gone).toEqual(['a'])
  })

  it('or that has stopped in good order', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(limits.memberSilenceMs)
    a.stop()
    await world.clock.settle(NOTICED_MS)
    expect(me.gone).toEqual(['a'])
  })

  it('is not gone as another life of the node that answers to the name', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    a.gate.shut()
    world.node('a', 2)
    const before = me.answers.length
    await world.clock.settle(20_000)
    expect([me.gone, me.answers.length], 'it speaks for itself').toEqual([[], before])
  })
})

describe('a node that is started again', () => {
  it('is asked as the process that it is now', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    a.gate.shut()
    const next = world.node('a', 2)
    me.live.set('a', { name: 'a', bootId: 'a-2' })
    await world.clock.settle(1_000)
    next.gate.shut()
    await world.clock.settle(NOTICED_MS)
    expect(me.gone).toEqual(['a'])
  })
})

describe('a node that is there', () => {
  it('is not gone while it stands still', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    a.gate.hold()
    const before = me.answers.length
    await world.clock.settle(60_000)
    expect([me.gone, me.answers.length]).toEqual([[], before])
    a.gate.release()
    await world.clock.settle(1_000)
    expect(me.answers.length).toBeGreaterThan(before)
  })

  it('is not gone when its connection is made anew', async () => {
    const world = new World()
    let a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    for (let n = 0; n < 20; n++) {
      a.gate.shut()
      await world.clock.settle(limits.memberGoneMs - 20)
      a = world.node('a')
      await world.clock.settle(limits.memberProbeMs + n * 10)
    }
    expect(me.gone).toEqual([])
  })

  it('nor when it was heard in between', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    a.gate.shut()
    // What it says arrives, though who listens where is known late.
    for (let n = 0; n < 20; n++) {
      await world.clock.settle(300)
      me.heardAtMs.set('a', world.clock.monotonic())
    }
    expect(me.gone).toEqual([])
    await world.clock.settle(NOTICED_MS + limits.memberGoneMs)
    expect(me.gone).toEqual(['a'])
  })

  it('nor when it never answered: it may not be able to', async () => {
    const world = new World()
    const me = world.asker(['a'])
    await world.clock.settle(60_000)
    expect(me.gone).toEqual([])
  })

  it('is not taken for gone twice within a while: then its silence decides', async () => {
    const world = new World()
    let a = world.node('a')
    const me = world.asker(['a'])
    const life = { name: 'a', bootId: 'a-1' }
    const away = async () => {
      a.gate.shut()
      await world.clock.settle(5_000)
      a = world.node('a')
      me.live.set('a', life)
      await world.clock.settle(5_000)
    }
    await world.clock.settle(20_000)
    const sinceMs = world.clock.monotonic()
    while (world.clock.monotonic() < sinceMs + limits.memberTrustMs) await away()
    expect(me.gone).toEqual(['a'])
    await world.clock.settle(1_000)
    await away()
    expect(me.gone).toEqual(['a', 'a'])
    me.live.set('a', { name: 'a', bootId: 'a-2' })
    a.gate.shut()
    const next = world.node('a', 2)
    await world.clock.settle(5_000)
    next.gate.shut()
    await world.clock.settle(5_000)
    expect(me.gone, 'another process begins anew').toEqual(['a', 'a', 'a'])
  })
})

describe('who asks', () => {
  it('takes nobody for gone before it was connected for a silence: others come back later', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    expect(me.probes.hasListened).toBe(true)
    // The server starts again: whoever is back first finds nobody.
    me.transport.isCut = true
    a.gate.shut()
    await world.clock.settle(3_000)
    expect(me.gone, 'without a connection nobody answers').toEqual([])
    me.transport.isCut = false
    expect(me.probes.hasListened).toBe(false)
    await world.clock.settle(limits.memberSilenceMs - 1)
    expect(me.gone).toEqual([])
    world.node('a')
    await world.clock.settle(20_000)
    expect([me.gone, me.probes.hasListened]).toEqual([[], true])
  })

  it('also where the loss was so short that it saw nothing of it', async () => {
    const world = new World()
    const a = world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    me.transport.isCut = true
    me.transport.isCut = false
    expect(me.probes.hasListened).toBe(false)
    a.gate.shut()
    await world.clock.settle(limits.memberSilenceMs - 1)
    expect(me.gone).toEqual([])
    await world.clock.settle(2 * NOTICED_MS)
    expect(me.gone, 'in the end it is sure').toEqual(['a'])
  })

  it('has listened to nobody while it stood still', async () => {
    const world = new World()
    world.node('a')
    const me = world.asker(['a'])
    await world.clock.settle(20_000)
    me.gate.hold()
    await world.clock.settle(20_000)
    me.gate.release()
    await world.clock.settle(limits.memberProbeMs)
    expect(me.probes.hasListened).toBe(false)
    await world.clock.settle(limits.memberSilenceMs)
    expect(me.probes.hasListened).toBe(true)
  })

  it('asks those that it watches often, and others until they have answered once', async () => {
    const world = new World()
    world.asker(['counted'], [])
    await world.clock.settle(20_000)
    expect(world.asked).toHaveLength(1)
    world.asker(['counted'])
    await world.clock.settle(20_000)
    expect(world.asked.length).toBeGreaterThan(20_000 / limits.memberProbeMs - 2)
    expect(world.asked.length).toBeLessThan(20_000 / limits.memberProbeMs + 4)
  })

  it('counts nothing of the time in which it did not watch', async () => {
    const world = new World()
    const a = world.node('a')
    const watched = ['a']
    const me = world.asker(['a'], watched)
    await world.clock.settle(20_000)
    a.gate.shut()
    await world.clock.settle(limits.memberProbeMs)
    watched.pop()
    await world.clock.settle(20_000)
    watched.push('a')
    await world.clock.settle(limits.memberGoneMs - 1)
    expect(me.gone).toEqual([])
    await world.clock.settle(NOTICED_MS)
    expect(me.gone).toEqual(['a'])
  })
})

describe('who misses most others at once', () => {
  const everybody = ['a', 'b', 'c', 'd', 'e', 'f']

  /** All answer, and have for long enough. */
  async function started(names: readonly string[], watched?: readonly string[]) {
    const world = new World()
    const nodes = new Map(names.map((name) => [name, world.node(name)]))
    const me = world.asker(names, watched)
    await world.clock.settle(20_000)
    const away = (...some: string[]) => {
      for (const name of some) nodes.get(name)!.gate.shut()
    }
    return { world, me, away }
  }

  it('is rather cut off itself: their silence decides', async () => {
    const { world, me, away } = await started(['a', 'b'])
    away('a', 'b')
    await world.clock.settle(20_000)
    expect(me.gone).toEqual([])
    world.node('b')
    await world.clock.settle(NOTICED_MS)
    expect(me.gone, 'who is still away when the others are back is gone').toEqual(['a'])
  })

  it('asks others about the one that it watches', async () => {
    const { world, me, away } = await started(everybody, ['c'])
    away('a', 'b', 'c', 'd')
    await world.clock.settle(20_000)
    expect(me.gone).toEqual([])
    const other = await started(everybody, ['c'])
    other.away('c')
    await other.world.clock.settle(NOTICED_MS)
    expect(other.me.gone).toEqual(['c'])
  })

  it('has missed one a moment ago', async () => {
    const { world, me, away } = await started(['a', 'b'])
    away('a')
    await world.clock.settle(NOTICED_MS)
    expect(me.gone).toEqual(['a'])
    away('b')
    await world.clock.settle(limits.memberSilenceMs - 2 * NOTICED_MS)
    expect(me.gone).toEqual(['a'])
    await world.clock.settle(3 * NOTICED_MS)
    expect(me.gone, 'two that ended one after the other').toEqual(['a', 'b'])
  })

  it('but of many two may well end together', async () => {
    const { world, me, away } = await started(['a', 'b', 'c', 'd'])
    away('a', 'd')
    await world.clock.settle(NOTICED_MS)
    expect(me.gone.sort()).toEqual(['a', 'd'])
  })

  it('asks some others, and only while it misses one', async () => {
    const names = [...everybody, 'counted']
    const { world, away } = await started(names, ['a'])
    expect(world.asked, 'until it has answered').toHaveLength(1)
    away('a')
    await world.clock.settle(NOTICED_MS)
    // Of the names behind 'me', and from the first on: a, b, c and counted.
    expect(world.asked.length).toBeGreaterThan(1)
    const then = world.asked.length
    await world.clock.settle(20_000)
    expect(world.asked).toHaveLength(then)
  })
})
