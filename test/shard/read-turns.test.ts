/** Who reads much before it serves: how many at once, in which order, and that nobody keeps the others from it. */
import { describe, expect, it } from 'vitest'
import { VirtualClock } from '../../src/adapters/memory/index.ts'
import { ReadTurn, ReadTurns } from '../../src/shard/read-turns.ts'

const TURN_MS = 100

class Scene {
  readonly clock = new VirtualClock()
  readonly turns = new ReadTurns({ clock: this.clock, atOnce: 2, turnMs: TURN_MS })
  readonly begun: string[] = []

  /** @returns gives its turn back */
  reader(name: string): ReadTurn {
    const turn = new ReadTurn(this.turns)
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

  it('are for nobody where there are none', () => {
    let hasBegun = false
    new ReadTurn(undefined).take(() => {
      hasBegun = true
    })
    expect(hasBegun).toBe(true)
  })
})
