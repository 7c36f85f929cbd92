/**
 * Labels: the slow part of sealing. label(layer, i) is the SHA-256 of the replica id, layer, i, the label
 * before it and, from the second layer on, three labels of the layer below: nothing of it can be
 * computed in parallel. Decides: their exact form. Pure.
 */
import { LAYERS, numberBytes, PARENTS, parentOf } from './graph.ts'
import { NODE_BYTES, sha256, sha256Into } from './sha256.ts'

export interface ReplicaNames {
  /** Hex of 32 bytes. */
  proverId: string
  sectorId: number
  /** Hex of 32 bytes. */
  ticket: string
  commD: Uint8Array
}

/** Every label depends on it, so on who seals what, when and over which data. */
export function replicaIdOf({ proverId, sectorId, ticket, commD }: ReplicaNames): Buffer {
  const prover = Buffer.from(proverId, 'hex')
  return sha256(prover, numberBytes(sectorId), Buffer.from(ticket, 'hex'), commD)
}

const PREVIOUS_AT = NODE_BYTES + 8
const PARENTS_AT = PREVIOUS_AT + NODE_BYTES
const INPUT_BYTES = PARENTS_AT + PARENTS * NODE_BYTES

/**
 * One label on its own, as a verifier computes it.
 * @param previous the label before it in its layer; zeros for the first
 * @param parents of the layer below, joined; empty in the first layer
 */
export function labelOf(
  replicaId: Uint8Array,
  layer: number,
  node: number,
  previous: Uint8Array,
  parents: Uint8Array,
): Buffer {
  const place = Buffer.alloc(8)
  place.writeUInt32BE(layer, 0)
  place.writeUInt32BE(node, 4)
  return sha256(replicaId, place, previous, parents)
}

/** @param below the labels of the layer below; null in the first layer, which is number 1 */
export function computeLayer(
  replicaId: Uint8Array,
  layer: number,
  below: Buffer | null,
  nodes: number,
): Buffer {
  const labels = Buffer.alloc(nodes * NODE_BYTES)
  const input = Buffer.alloc(below ? INPUT_BYTES : PARENTS_AT)
  input.set(replicaId)
  input.writeUInt32BE(layer, NODE_BYTES)
  for (let node = 0; node < nodes; node++) {
    input.writeUInt32BE(node, NODE_BYTES + 4)
    if (node > 0) labels.copy(input, PREVIOUS_AT, (node - 1) * NODE_BYTES, node * NODE_BYTES)
    if (below) {
      for (let nth = 0; nth < PARENTS; nth++) {
        const from = parentOf(node, nth, nodes) * NODE_BYTES
        below.copy(input, PARENTS_AT + nth * NODE_BYTES, from, from + NODE_BYTES)
      }
    }
    sha256Into(input, labels, node * NODE_BYTES)
  }
  return labels
}

/** The labels of one node in all layers, from the first. */
export function columnOf(layers: readonly Buffer[], node: number): Buffer {
  const column = Buffer.alloc(LAYERS * NODE_BYTES)
  layers.forEach((labels, index) => {
    labels.copy(column, index * NODE_BYTES, node * NODE_BYTES, (node + 1) * NODE_BYTES)
  })
  return column
}

/** The leaves of tree C. */
export function columnHashes(layers: readonly Buffer[], nodes: number): Buffer {
  const hashes = Buffer.alloc(nodes * NODE_BYTES)
  for (let node = 0; node < nodes; node++) {
    sha256Into(columnOf(layers, node), hashes, node * NODE_BYTES)
  }
  return hashes
}
