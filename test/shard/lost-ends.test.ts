/** A journal whose last slot is said to be there and not to be there: it is asked again, and not for ever. */
import { describe, expect, it } from 'vitest'
import { A, noted, scene } from './checkpoint-scene.ts'
import type { JournaledNode } from './journaled-nodes.ts'

/** The last slot reads as empty so many times. */
function deny(node: JournaledNode, slot: number, times: number): void {
  const { line } = node
  const read = line.read.bind(line)
  let left = times
  line.read = (shard, asked, done) => {
    if (asked !== slot || left === 0) return read(shard, asked, done)
    left -= 1
    node.nodes.clock.defer(() => done({ kind: 'empty' }))
  }
}

/** The claim, the actor and its notes. */
const LAST = 8
const ends = ({ said }: JournaledNode) => said.filter(({ on }) => on === 'end').length

describe('a last slot that is not there', () => {
  it('is waited for', async () => {
    const { nodes, b } = await scene()
    deny(b, LAST, 3)
    b.open()
    await nodes.settle(199)
    expect([ends(b), b.opened]).toEqual([1, 'no'])
    await nodes.settle(1)
    expect(ends(b)).toBe(2)
    await b.opening()
    expect(b.opened).toBe('serves')
    expect(await b.seen(A)).toEqual(noted(6))
  })

  it('is not waited for by who is stopped', async () => {
    const { nodes, b } = await scene()
    deny(b, LAST, 3)
    b.open()
    await nodes.settle(100)
    b.engine.stop()
    await nodes.settle(1_000)
    expect(ends(b)).toBe(1)
  })

  it('is said in the end', async () => {
    const { b } = await scene()
    deny(b, LAST, Number.POSITIVE_INFINITY)
    b.open()
    await b.opening()
    expect(b.stops).toMatchObject([{ why: expect.stringContaining('slot 8 ends the journal') }])
    expect(ends(b)).toBe(11)
  })
})
