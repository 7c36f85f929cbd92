/** Who reads when many have much to read, and that a shard which nobody serves comes first. */
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { CatchUps } from '../../src/cluster/catch-ups.ts'
import { DEFAULT_CLUSTER_LIMITS } from '../../src/cluster/limits.ts'

const limits = {
  ...DEFAULT_CLUSTER_LIMITS,
  catchUpsAtOnce: 2,
  catchUpHoldMs: 1_000,
  catchUpRestMs: 200,
}

function rig() {
  const clock = new VirtualClock()
  const catchUps = new CatchUps({ clock, limits })
  const begun: string[] = []
  const enter = (name: string) => catchUps.enter(() => void begun.push(name))
  return { clock, catchUps, begun, enter }
}

describe('standbys that have much to read', () => {
  it('read some at a time, in the order in which they asked', async () => {
    const { clock, begun, enter } = rig()
    const ends = ['a', 'b', 'c', 'd'].map(enter)
    expect(begun, 'not before whoever asked has what it needs to end it').toEqual([])
    await clock.settle()
    expect(begun).toEqual(['a', 'b'])
    ends[1]!()
    expect(begun).toEqual(['a', 'b', 'c'])
    ends[1]!()
    expect(begun, 'a turn ends once').toEqual(['a', 'b', 'c'])
    ends[0]!()
    expect(begun).toEqual(['a', 'b', 'c', 'd'])
  })

  it('do not begin after they have called it off', async () => {
    const { clock, begun, enter } = rig()
    const ends = ['a', 'b', 'c', 'd'].map(enter)
    ends[2]!()
    await clock.settle()
    ends[0]!()
    expect(begun).toEqual(['a', 'b', 'd'])
  })

  it('begin when no shard is being taken any more', async () => {
    const { clock, catchUps, begun, enter } = rig()
    const goOn = [catchUps.hold(), catchUps.hold()]
    enter('a')
    await clock.settle(100)
    goOn[0]!()
    goOn[0]!()
    await clock.settle(300)
    expect(begun, 'one is still being taken').toEqual([])
    goOn[1]!()
    await clock.settle(limits.catchUpRestMs - 1)
    expect(begun, 'what waits for it is answered first').toEqual([])
    await clock.settle(1)
    expect(begun).toEqual(['a'])
  })

  it('do not wait for ever for a shard that cannot be taken', async () => {
    const { clock, catchUps, begun, enter } = rig()
    const goOn = catchUps.hold()
    enter('a')
    await clock.settle(limits.catchUpHoldMs - 1)
    expect(begun).toEqual([])
    await clock.settle(1)
    expect(begun).toEqual(['a'])
    goOn()
    const again = catchUps.hold()
    enter('b')
    await clock.settle(10)
    expect(begun, 'an end that comes late does not end another').toEqual(['a'])
    await clock.settle(limits.catchUpHoldMs - 20)
    again()
    await clock.settle(10)
    expect(begun, 'a rest does not make it longer than that').toEqual(['a', 'b'])
  })
})
