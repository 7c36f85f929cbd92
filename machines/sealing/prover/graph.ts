/**
 * The shape of the work: how many layers, which labels a label depends on, which nodes a proof opens.
 * Decides: these numbers. Pure.
 */
import { NODE_BYTES, sha256 } from './sha256.ts'

/** Real sectors have 11; at these sizes four show the same chain of dependence. */
export const LAYERS = 4
/** Labels of the layer below that go into a label, beside the one before it in its own layer. */
export const PARENTS = 3
/** A proof opens at least so many nodes, and more of larger sectors. */
export const CHALLENGES_MIN = 8
const GRAPH_SEED = 0x5ea1_0001

export function nodesOf(sizeBytes: number): number {
  return sizeBytes / NODE_BYTES
}

export function parentsOf(node: number, nodes: number): number[] {
  return Array.from({ length: PARENTS }, (_, nth) => parentOf(node, nth, nodes))
}

/** Spread over the whole layer; `nodes` is a power of two. */
export function parentOf(node: number, nth: number, nodes: number): number {
  let mixed = (node * PARENTS + nth) ^ GRAPH_SEED
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35)
  return (mixed ^ (mixed >>> 16)) & (nodes - 1)
}

/** The nodes that a proof has to open: they follow from what was committed to, so nobody chooses them. */
export function challengesOf(nodes: number, ...entropy: readonly Uint8Array[]): number[] {
  const count = Math.max(CHALLENGES_MIN, Math.log2(nodes))
  const root = sha256(...entropy)
  return Array.from({ length: count }, (_, nth) => {
    return sha256(root, numberBytes(nth)).readUInt32BE(0) & (nodes - 1)
  })
}

/** Eight bytes, the highest first. */
export function numberBytes(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
