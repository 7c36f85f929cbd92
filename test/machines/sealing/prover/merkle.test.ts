/** Trees and labels: known values, and what holds for all of them. */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { challengesOf, parentsOf } from '../../../../machines/sealing/prover/graph.ts'
import { computeLayer, labelOf } from '../../../../machines/sealing/prover/labels.ts'
import {
  pathOf,
  rootFrom,
  rootOf,
  treeBytes,
  treeOf,
  zeroRoot,
} from '../../../../machines/sealing/prover/merkle.ts'
import { flipped } from './rig.ts'

/** Widely published: the roots over 2, 4 and 8 zero nodes. */
const ZERO_ROOTS: readonly [bytes: number, root: string][] = [
  [64, 'f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b'],
  [128, 'db56114e00fdd4c1f85c892bf35ac9a89289aaecb1ebd0a96cde606a748b5d71'],
  [256, 'c78009fdf07fc56a11f122370658a353aaa542ed63e44c4bc15ff4cd105ab33c'],
]

const leaves = fc
  .tuple(fc.integer({ min: 1, max: 6 }), fc.infiniteStream(fc.integer({ min: 0, max: 255 })))
  .map(([log, bytes]) => Buffer.from([...bytes.take(32 * 2 ** log)]))

describe('a tree', () => {
  it('over zeros has the known roots', () => {
    for (const [bytes, root] of ZERO_ROOTS) {
      expect(rootOf(treeOf(Buffer.alloc(bytes))).toString('hex')).toBe(root)
      expect(zeroRoot(bytes).toString('hex')).toBe(root)
    }
  })

  it('over two nodes is their hash', () => {
    const two = Buffer.concat([Buffer.alloc(32, 1), Buffer.alloc(32, 2)])
    expect(rootOf(treeOf(two))).toEqual(createHash('sha256').update(two).digest())
    expect(treeOf(two)).toHaveLength(treeBytes(64))
  })

  it('leads from every leaf to its root, and from no other leaf or place', () => {
    fc.assert(
      fc.property(leaves, fc.nat(), fc.nat(), (data, nth, bit) => {
        const [tree, count] = [treeOf(data), data.length / 32]
        const index = nth % count
        const leaf = data.subarray(index * 32, index * 32 + 32)
        const path = pathOf(tree, index)
        expect(rootFrom(leaf, index, path)).toEqual(rootOf(tree))
        expect(rootFrom(flipped(leaf, bit % 32), index, path)).not.toEqual(rootOf(tree))
        expect(rootFrom(leaf, index, flipped(path, bit % path.length))).not.toEqual(rootOf(tree))
      }),
      { numRuns: 50 },
    )
  })
})

describe('labels', () => {
  it('are those that a verifier computes one by one', () => {
    const replicaId = Buffer.alloc(32, 9)
    const nodes = 64
    const first = computeLayer(replicaId, 1, null, nodes)
    const second = computeLayer(replicaId, 2, first, nodes)
    const labelAt = (labels: Buffer, node: number) =>
      node < 0 ? Buffer.alloc(32) : labels.subarray(node * 32, node * 32 + 32)
    for (let node = 0; node < nodes; node++) {
      const below = Buffer.concat(parentsOf(node, nodes).map((one) => labelAt(first, one)))
      const none = Buffer.alloc(0)
      expect(labelOf(replicaId, 1, node, labelAt(first, node - 1), none)).toEqual(
        labelAt(first, node),
      )
      expect(labelOf(replicaId, 2, node, labelAt(second, node - 1), below)).toEqual(
        labelAt(second, node),
      )
    }
  })

  it('depend on nodes that are spread over the layer', () => {
    const nodes = 1_024
    const used = new Set(Array.from({ length: nodes }, (_, node) => parentsOf(node, nodes)).flat())
    expect(used.size).toBeGreaterThan(0.9 * nodes)
    expect(Math.max(...used)).toBeLessThan(nodes)
  })
})

it('challenges follow from what they are of, eight or more', () => {
  const [one, other] = [Buffer.from('one'), Buffer.from('other')]
  expect(challengesOf(64, one)).toHaveLength(8)
  expect(challengesOf(2 ** 18, one)).toHaveLength(18)
  expect(challengesOf(2 ** 18, one)).toEqual(challengesOf(2 ** 18, one))
  expect(challengesOf(2 ** 18, one)).not.toEqual(challengesOf(2 ** 18, other))
  for (const node of challengesOf(64, one)) expect(node).toBeLessThan(64)
})
