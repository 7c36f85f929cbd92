/** Who is taken for alive: by heartbeats, and by the time in which they could be heard. */
import { describe, expect, it } from 'vitest'
import { MemoryTransport, VirtualClock } from '../../src/adapters/memory/index.ts'
import { DEFAULT_CLUSTER_LIMITS as limits, resolveClusterLimits } from '../../src/cluster/limits.ts'
import { type MemberBeat, Members } from '../../src/cluster/members.ts'
import { NO_VERSIONS } from '../../src/cluster/versions.ts'
import type { Log } from '../../src/ports/index.ts'
import { pack, subjectsOf } from '../../src/protocol/index.ts'
import { Gate, GatedClock, GatedTransport } from './gate.ts'

const subjects = subjectsOf('test')

function world() {
  const clock = new VirtualClock()
  return { clock, transport: new MemoryTransport({ clock }) }
}

function member(
  { clock: base, transport }: ReturnType<typeof world>,
  name: string,
  more: Partial<MemberBeat> = {},
) {
  const gate = new Gate()
  const clock = new GatedClock(base, gate)
  const warnings: string[] = []
  const say = (_fields: object, message: string) => void warnings.push(message)
  const log: Log = { debug: say, info: say, warn: say, error: say, child: () => log }
  const beat: MemberBeat = {
    ...{ name, bootId: `${name}-1`, weight: 1, zone: null, leaving: false, viewNumber: 0 },
    ...{ serves: [], lags: [], machines: NO_VERSIONS, refuses: [], ...more },
  }
  let changes = 0
  const gated = new GatedTransport(transport, gate)
  const members = new Members({
    ...{ name, bootId: beat.bootId, clock, log, subjects, limits },
    transport: gated,
    describe: () => beat,
    changed: () => {
      changes += 1
    },
  })
  members.start()
  const names = () => members.live().map((one) => one.name)
  return { members, gate, transport: gated, warnings, beat, names, changes: () => changes }
}

describe('members', () => {
  it('hear each other, and what each serves and follows', async () => {
    const at = world()
    const machines = new Map([['order', 3]])
    const refuses = [7]
    const a = member(at, 'a', {
      serves: [[3, 77]],
      lags: [[5, 12]],
      zone: 'z',
      weight: 2,
      machines,
      refuses,
    })
    const b = member(at, 'b')
    await at.clock.settle(limits.memberBeatMs)
    expect(a.names().sort()).toEqual(['a', 'b'])
    expect(b.members.live().find(({ name }) => name === 'a')).toEqual(a.beat)
    expect(b.members.servesBy('a', 3)).toBe(77)
    expect(b.members.machines('a')).toEqual(machines)
    expect(b.members.machines('nobody').size).toBe(0)
    expect([7, 3].map((shard) => b.members.refuses('a', shard))).toEqual([true, false])
    expect(b.members.lag('a', 5)).toBe(12)
    expect(b.members.lag('a', 3)).toBeUndefined()
    expect(b.members.othersServing(3)).toEqual(['a'])
    expect(a.members.othersServing(3), 'others').toEqual([])
  })

  it('are taken for dead after a silence, with all that they said', async () => {
    const at = world()
    const a = member(at, 'a', { serves: [[3, 77]] })
    const b = member(at, 'b')
    await at.clock.settle(10_000)
    a.gate.shut()
    await at.clock.settle(limits.memberSilenceMs - limits.memberBeatMs - 1)
    expect(b.names()).toContain('a')
    await at.clock.settle(limits.memberBeatMs + 1)
    expect(b.names()).toEqual(['b'])
    expect(b.members.servesBy('a', 3)).toBeUndefined()
    expect(b.members.othersServing(3)).toEqual([])
  })

  it('are there as long as they answer, however slow their heartbeats are', async () => {
    const at = world()
    const a = member(at, 'a')
    const b = member(at, 'b')
    await at.clock.settle(10_000)
    a.gate.hold()
    for (let n = 0; n < 10; n++) {
      await at.clock.settle(limits.memberSilenceMs / 2)
      b.members.answered(a.beat)
    }
    expect(b.names()).toContain('a')
    b.members.answered({ name: 'a', bootId: 'a-0' })
    await at.clock.settle(limits.memberSilenceMs + limits.memberBeatMs)
    expect(b.names(), 'another life of it says nothing of this one').toEqual(['b'])
    b.members.answered(a.beat)
    expect(b.names(), 'nor does an answer say what it is').toEqual(['b'])
  })

  it('are gone when that is known, until they are heard again', async () => {
    const at = world()
    const a = member(at, 'a', { serves: [[3, 77]] })
    const b = member(at, 'b')
    await at.clock.settle(10_000)
    b.members.gone({ name: 'a', bootId: 'a-0' })
    expect(b.names(), 'that was another process').toContain('a')
    const before = b.changes()
    b.members.gone(a.beat)
    expect([b.names(), b.members.othersServing(3), b.changes() - before]).toEqual([['b'], [], 1])
    await at.clock.settle(limits.memberBeatMs)
    expect([b.names().sort(), b.members.servesBy('a', 3)]).toEqual([['a', 'b'], 77])
  })

  it.each([
    ['reads later what came meanwhile', false],
    ['lost it', true],
  ])('are not taken for dead by one that stood still, and %s', async (_what, isLost) => {
    const at = world()
    member(at, 'a')
    const b = member(at, 'b')
    await at.clock.settle(10_000)
    b.gate.hold()
    b.transport.isCut = isLost
    await at.clock.settle(60_000)
    // Its timers run before the messages that wait for it are read.
    const seen: string[][] = []
    expect(isLost).toBe(b.transport.isCut)
    b.gate.release(() => void seen.push(b.names().sort()))
    expect(seen.length).toBeGreaterThanOrEqual(1)
    for (const names of seen) expect(names).toEqual(['a', 'b'])
  })

  it('say the same with most beats, which changes nothing', async () => {
    const at = world()
    const a = member(at, 'a', { serves: [[3, 77]] })
    const b = member(at, 'b')
    await at.clock.settle(10_000)
    const before = b.changes()
    await at.clock.settle(10 * limits.memberBeatMs)
    // Its own beats: time has passed.
    expect(b.changes() - before).toBe(10)
    a.beat.serves = [[3, 78]]
    await at.clock.settle(limits.memberBeatMs)
    expect([b.changes() - before, b.members.servesBy('a', 3)]).toEqual([12, 78])
  })

  it('are there again after a silence, with the beat that they had before', async () => {
    const at = world()
    const a = member(at, 'a', { serves: [[3, 77]] })
    const b = member(at, 'b')
    await at.clock.settle(10_000)
    a.gate.shut()
    await at.clock.settle(2 * limits.memberSilenceMs)
    expect(b.names()).toEqual(['b'])
    at.transport.publish(
      subjects.member(),
      pack(['a', 'a-1', 1, null, false, 0, [[3, 77]], [], [], []]),
    )
    await at.clock.settle(10)
    expect([b.names().sort(), b.members.servesBy('a', 3)]).toEqual([['a', 'b'], 77])
  })

  it('what cannot be read is nobody', async () => {
    const at = world()
    const a = member(at, 'a')
    await at.clock.settle(10)
    const good = ['b', 'b-1', 1, null, false, 0, [], [], [], []]
    const wrong: [at: number, value: unknown][] = [
      ...([
        [0, 'b.c'],
        [0, 5],
        [1, 7],
        [2, -1],
        [2, Number.NaN],
        [3, 4],
      ] as [number, unknown][]),
      ...([
        [5, -1],
        [6, 'x'],
        [6, [[1]]],
        [6, [[1, -1]]],
        [7, [1]],
        [8, undefined],
        [8, [['m', 'x']]],
        [9, ['x']],
      ] as [number, unknown][]),
    ]
    for (const [index, value] of wrong) {
      const fields = good.map((field, n) => (n === index ? value : field))
      at.transport.publish(subjects.member(), pack(fields))
    }
    at.transport.publish(subjects.member(), pack({ name: 'b' }))
    at.transport.publish(subjects.member(), Uint8Array.of(0xc1))
    await at.clock.settle(10)
    expect(a.names()).toEqual(['a'])
    expect(a.warnings).toHaveLength(wrong.length + 2)
    at.transport.publish(subjects.member(), pack(good))
    await at.clock.settle(10)
    expect(a.names()).toEqual(['a', 'b'])
  })

  it('two processes with one name are noticed, and each stays itself', async () => {
    const at = world()
    const a = member(at, 'a')
    const other = member(at, 'a', { bootId: 'a-2', weight: 5 })
    await at.clock.settle(5_000)
    expect(a.members.live()).toEqual([a.beat])
    expect(other.members.live()).toEqual([other.beat])
    expect(a.warnings).toContain('another process has the name of this node')
  })
})

describe('the limits of a cluster', () => {
  it.each([
    { leaderBeatMs: 2_000 },
    { memberBeatMs: 3_000 },
    { memberSilenceMs: 6_000 },
    { followMs: 0 },
    { letGoMs: 5_001 },
    { drainMs: 1.5 },
    { unknown: 1 },
  ])('%j is refused', (given) => {
    expect(() => resolveClusterLimits(given)).toThrow(
      expect.objectContaining({ code: 'invalid-config' }),
    )
  })
})
