/** Nodes that share a journal and checkpoints: what the tests of checkpoints begin with. */
import { expect } from 'vitest'
import { MemoryCheckpoints } from '../../src/adapters/memory/index.ts'
import { CheckpointWriting, type CheckpointWritten } from '../../src/shard/index.ts'
import { appliedOf } from './journaled-judge.ts'
import { type JournaledNode, Nodes, SHARD } from './journaled-nodes.ts'

export const A = 'counter/a'
const CHUNK_BYTES = 400

/** An owner with an actor and some notes, and a node that has nothing. */
export async function scene(notes = 6) {
  const nodes = new Nodes()
  const checkpoints = new MemoryCheckpoints({ clock: nodes.clock })
  const commit = { checkpoints }
  const a = await nodes.owner('a', { commit })
  expect(await a.answer(a.client.start(A))).toBe('ok')
  for (let n = 1; n <= notes; n++) expect(await a.answer(a.note(A, `${n}`))).toBe('ok')
  return { nodes, checkpoints, a, b: nodes.node('b', { commit }) }
}

export function writing(node: JournaledNode, checkpoints: MemoryCheckpoints) {
  const { clock } = node.nodes
  const told: CheckpointWritten[] = []
  const deps = { shard: SHARD, store: node.store, journal: node.line, checkpoints, clock }
  const random = { fraction: () => 0, id: () => `attempt-${appliedOf(node.store)}-${node.name}` }
  const one = new CheckpointWriting({ ...deps, random, chunkBytesMax: CHUNK_BYTES }, (outcome) =>
    told.push(outcome),
  )
  one.start()
  return { told, one }
}

export async function written(node: JournaledNode, checkpoints: MemoryCheckpoints) {
  const { told } = writing(node, checkpoints)
  for (let round = 0; round < 100 && told.length === 0; round++) await node.nodes.settle(20)
  expect(told).toHaveLength(1)
  return told[0]!
}

export const chunkOf = (slot: number, index = 0) => ({
  ...{ shard: SHARD, slot, index, attempt: `attempt-${slot}-a` },
})

export const noted = (count: number) => Array.from({ length: count }, (_, index) => `${index + 1}`)
