/** Who works on a disk at a time, who waits, and who is refused. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DiskSlots } from '../../../../../machines/storage/plane/blobnode/disk-slots.ts'
import type { IoKind } from '../../../../../machines/storage/plane/blobnode/io-kinds.ts'

const LIMITS = { atWork: 3, backgroundAtWork: 2, waiting: 2, backgroundWaiting: 1 }
const here = () => false

/** Takes slots, and says in which order they were had. */
class Takers {
  readonly slots = new DiskSlots(1, LIMITS)
  readonly had: string[] = []
  readonly #free = new Map<string, () => void>()
  readonly refused = new Map<string, number>()

  async take(name: string, kind: IoKind, isGone = here, isUnderWay = false): Promise<void> {
    const taken = this.slots.take(kind, isGone, isUnderWay).then(
      (free) => {
        this.had.push(name)
        this.#free.set(name, free)
      },
      (error: { status: number }) => void this.refused.set(name, error.status),
    )
    await Promise.race([taken, settled()])
  }

  async free(name: string): Promise<void> {
    this.#free.get(name)?.()
    await settled()
  }
}

/** All that can go on has gone on. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

describe('slots of a disk', () => {
  it('let clients go before what nobody waits for', async () => {
    const takers = new Takers()
    for (const name of ['c1', 'c2']) await takers.take(name, 'client')
    await takers.take('b1', 'repair')
    await takers.take('b2', 'migrate')
    await takers.take('c3', 'client')
    expect(takers.had).toEqual(['c1', 'c2', 'b1'])
    await takers.free('c1')
    expect(takers.had).toEqual(['c1', 'c2', 'b1', 'c3'])
  })

  it('leave one to the background, however many clients there are', async () => {
    const takers = new Takers()
    for (const name of ['c1', 'c2', 'c3', 'c4']) await takers.take(name, 'client')
    expect(takers.had).toEqual(['c1', 'c2'])
    await takers.take('b1', 'delete')
    expect(takers.had).toEqual(['c1', 'c2', 'b1'])
  })

  it('give the background no more than its share', async () => {
    const takers = new Takers()
    for (const name of ['b1', 'b2', 'b3']) await takers.take(name, 'inspect')
    expect(takers.had).toEqual(['b1', 'b2'])
    await takers.take('c1', 'client')
    expect(takers.had).toEqual(['b1', 'b2', 'c1'])
  })

  it('refuse what would wait behind too many', async () => {
    const takers = new Takers()
    for (const name of ['c1', 'c2', 'c3', 'c4', 'c5']) await takers.take(name, 'client')
    for (const name of ['b1', 'b2', 'b3']) await takers.take(name, 'repair')
    expect([...takers.refused]).toEqual([
      ['c5', 604],
      ['b3', 673],
    ])
    // What has begun is not cut in the middle.
    await takers.take('c6', 'client', here, true)
    expect(takers.refused.has('c6')).toBe(false)
    expect(takers.slots.figures()).toEqual({
      ...{ at_work: 2, waiting: 3, background_at_work: 1, background_waiting: 1 },
    })
  })

  it('pass over who has gone', async () => {
    const takers = new Takers()
    for (const name of ['c1', 'c2']) await takers.take(name, 'client')
    await takers.take('gone', 'client', () => true)
    await takers.take('c3', 'client')
    await takers.free('c1')
    expect(takers.had).toEqual(['c1', 'c2', 'c3'])
    expect(takers.refused.get('gone')).toBe(676)
  })

  it('are never more than there are, and all come back', async () => {
    const step = fc.record({
      isFree: fc.boolean(),
      kind: fc.constantFrom<IoKind>('client', 'repair'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const takers = new Takers()
        let asked = 0
        let freed = 0
        for (const { isFree, kind } of steps) {
          if (isFree && takers.had.length > freed) await takers.free(takers.had[freed++]!)
          else await takers.take(`${asked++}`, kind)
          const { at_work, background_at_work } = takers.slots.figures()
          expect(at_work + background_at_work).toBeLessThanOrEqual(3)
          expect(at_work).toBeLessThanOrEqual(2)
        }
        for (let at = 0; at < takers.had.length; at++) await takers.free(takers.had[at]!)
        expect(takers.slots.figures()).toEqual({
          ...{ at_work: 0, waiting: 0, background_at_work: 0, background_waiting: 0 },
        })
        expect(takers.had.length + takers.refused.size).toBe(asked)
      }),
      { numRuns: 60 },
    )
  })
})
