/** Who reads much before it serves: how many at once, in which order, and that nobody keeps the others from it. */
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { type ReadPurpose, ReadTurn, ReadTurns } from '../../src/shard/read-turns.ts'

const TURN_MS = 100
const HOLD_MS = 1_000
const REST_MS = 200
const LIMITS = { atOnce: 2, turnMs: TURN_MS, holdMs: HOLD_MS, restMs: REST_MS }

class Scene {
  readonly clock = new VirtualClock()
  readonly turns = new ReadTurns({ clock: this.clock, ...LIMITS })
  readonly begun: string[] = []

  /** @returns gives its turn back */
  reader(name: string, purpose: ReadPurpose = 'serve'): ReadTurn {
    const turn = new ReadTurn(this.turns, purpose)
    turn.take(() => this.begun.push(name))
    return turn
  }

  after(ms: number): this {
    this.clock.advance(ms)
    return this
  }
}

describe('turns to read', () => {
  it('are given to some at once, to the others in their order', () => {
    const scene = new Scene()
    const [a, b] = ['a', 'b', 'c', 'd'].map((name) => scene.reader(name))
    expect(scene.begun).toEqual([])
    expect(scene.after(1).begun).toEqual(['a', 'b'])
    b!.end()
    expect(scene.after(1).begun).toEqual(['a', 'b', 'c'])
    a!.end()
    expect(scene.after(1).begun).toEqual(['a', 'b', 'c', 'd'])
  })

  it('are kept from page to page, and asked for once', () => {
    const scene = new Scene()
    const [a] = ['a', 'b', 'c'].map((name) => scene.reader(name))
    scene.after(1)
    a!.take(() => scene.begun.push('next page'))
    expect(scene.begun).toEqual(['a', 'b', 'next page'])
    a!.end()
    a!.end()
    expect(scene.after(1).begun).toEqual(['a', 'b', 'next page', 'c'])
    scene.reader('d')
    expect(scene.after(1).begun).toHaveLength(4)
  })

  it('are not waited for any more by who has stopped', () => {
    const scene = new Scene()
    const [a, , c] = ['a', 'b', 'c', 'd'].map((name) => scene.reader(name))
    scene.after(1)
    c!.end()
    a!.end()
    expect(scene.after(1).begun).toEqual(['a', 'b', 'd'])
  })

  it('last so long: a journal that is away does not keep others from theirs', () => {
    const scene = new Scene()
    const readers = ['a', 'b', 'c', 'd', 'e'].map((name) => scene.reader(name))
    expect(scene.after(TURN_MS - 1).begun).toEqual(['a', 'b'])
    expect(scene.after(2).begun).toEqual(['a', 'b', 'c', 'd'])
    for (const late of readers.slice(0, 2)) late.end()
    expect(scene.after(1).begun).toHaveLength(4)
  })

  it('last on while pages come; who was too slow asks again', () => {
    const scene = new Scene()
    const [a] = ['a', 'b', 'c', 'd', 'e'].map((name) => scene.reader(name))
    scene.after(1)
    for (let n = 0; n < 5; n++) {
      scene.after(TURN_MS - 10)
      a!.take(() => {})
    }
    expect(scene.begun, 'but only beside the one that had nothing').toEqual([
      'a',
      'b',
      'c',
      'd',
      'e',
    ])
    scene.reader('f')
    scene.reader('g')
    scene.after(TURN_MS - 20)
    expect(scene.begun).not.toContain('g')
    scene.after(TURN_MS)
    expect(scene.begun).toContain('g')
    let isRead = false
    a!.take(() => {
      isRead = true
    })
    expect(isRead, 'its time was up').toBe(false)
    expect(scene.after(TURN_MS) && isRead).toBe(true)
  })

  it('are for those first that are to serve; who follows waits for them', () => {
    const scene = new Scene()
    scene.reader('x', 'follow')
    const serving = ['a', 'b', 'c'].map((name) => scene.reader(name))
    expect(scene.after(1).begun).toEqual(['a', 'b'])
    serving[0]!.end()
    serving[1]!.end()
    expect(scene.after(1).begun, 'also while there is room beside one').toEqual(['a', 'b', 'c'])
    serving[2]!.end()
    expect(scene.after(1).begun).toEqual(['a', 'b', 'c', 'x'])
  })

  it('are for nobody where there are none', () => {
    let hasBegun = false
    new ReadTurn(undefined, 'serve').take(() => {
      hasBegun = true
    })
    expect(hasBegun).toBe(true)
  })
})

describe('who follows', () => {
  it('begins when no shard is being taken any more, and what waits for it is answered', () => {
    const scene = new Scene()
    const goOn = [scene.turns.hold(), scene.turns.hold()]
    scene.reader('x', 'follow')
    scene.reader('a')
    expect(scene.after(100).begun, 'who serves waits for nobody').toEqual(['a'])
    scene.after(TURN_MS)
    goOn[0]!()
    goOn[0]!()
    expect(scene.after(300).begun, 'one is still being taken').toEqual(['a'])
    goOn[1]!()
    expect(scene.after(REST_MS - 1).begun).toEqual(['a'])
    expect(scene.after(1).begun).toEqual(['a', 'x'])
  })

  it('does not wait for ever for a shard that cannot be taken', () => {
    const scene = new Scene()
    const late = scene.turns.hold()
    scene.reader('x', 'follow').end()
    scene.reader('y', 'follow')
    expect(scene.after(HOLD_MS - 1).begun).toEqual([])
    expect(scene.after(1).begun).toEqual(['y'])
    late()
    const again = scene.turns.hold()
    scene.reader('z', 'follow')
    expect(scene.after(10).begun, 'an end that comes late ends no other').toEqual(['y'])
    scene.after(HOLD_MS - 20)
    again()
    expect(scene.after(10).begun, 'a rest does not make it longer than that').toEqual(['y', 'z'])
  })
})
