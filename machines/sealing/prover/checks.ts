/**
 * What proofs are made of, and what makes them false. Decides: the bytes of an opening (fixed by the
 * size of the sector, so that a proof holds no length that could lie), and every check. Each byte of a
 * proof is an input of a hash that has to come out right. Pure.
 */
import { commROf } from './cache.ts'
import { challengesOf, LAYERS, nodesOf, numberBytes, parentsOf } from './graph.ts'
import { columnOf, labelOf, replicaIdOf } from './labels.ts'
import { pathBytes, pathOf, rootFrom } from './merkle.ts'
import { NODE_BYTES, sha256, xor } from './sha256.ts'

const COLUMN_BYTES = LAYERS * NODE_BYTES
const NOTHING = Buffer.alloc(0)
const ZEROS = Buffer.alloc(NODE_BYTES)

/** What a sealed sector claims; bytes are hex. */
export interface SealFacts {
  sizeBytes: number
  proverId: string
  sectorId: number
  ticket: string
  seed: string
  commR: string
  commD: string
}

export interface SealTrees {
  layers: readonly Buffer[]
  treeC: Buffer
  treeD: Buffer
  treeR: Buffer
}

export interface SnapFacts {
  sizeBytes: number
  commROld: string
  commRNew: string
  commDNew: string
}

export interface SnapTrees {
  commC: Uint8Array
  treeROld: Buffer
  treeD: Buffer
  treeRNew: Buffer
}

export interface ReplicaFacts {
  sizeBytes: number
  seed: string
  minerId: number
  sectorId: number
  commR: string
}

/** What a verifier says; `reason` tells the first check that failed. */
export type Verdict = { valid: true } | { valid: false; reason: string }

/** One piece per challenge. */
export function sealOpenings(facts: SealFacts, trees: SealTrees): Buffer[] {
  const nodes = nodesOf(facts.sizeBytes)
  const column = (node: number) => [columnOf(trees.layers, node), pathOf(trees.treeC, node)]
  return sealChallenges(facts).map((node) =>
    Buffer.concat([
      ...column(node),
      ...(node > 0 ? column(node - 1) : []),
      ...parentsOf(node, nodes).flatMap(column),
      leafOf(trees.treeD, node),
      pathOf(trees.treeD, node),
      pathOf(trees.treeR, node),
    ]),
  )
}

export function checkSeal(facts: SealFacts, proof: Buffer): Verdict {
  const nodes = nodesOf(facts.sizeBytes)
  const replicaId = replicaIdOf({ ...facts, commD: Buffer.from(facts.commD, 'hex') })
  const input = new Input(proof, nodes)
  const roots = new Roots({ D: facts.commD })
  const column = (node: number): Buffer => {
    const labels = input.take(COLUMN_BYTES)
    roots.see('C', rootFrom(sha256(labels), node, input.path()))
    return labels
  }
  for (const node of sealChallenges(facts)) {
    const labels = column(node)
    const before = node > 0 ? column(node - 1) : Buffer.alloc(COLUMN_BYTES)
    const parents = parentsOf(node, nodes).map(column)
    if (!isColumnRight(replicaId, node, labels, before, parents)) {
      return invalid(`the labels of node ${node} do not follow from one another`)
    }
    const data = input.take(NODE_BYTES)
    roots.see('D', rootFrom(data, node, input.path()))
    const sealed = xor(data, labelIn(labels, LAYERS))
    roots.see('R', rootFrom(sealed, node, input.path()))
  }
  return verdictOf(input, roots, [['C', 'R', facts.commR]])
}

function isColumnRight(
  replicaId: Buffer,
  node: number,
  labels: Buffer,
  before: Buffer,
  parents: readonly Buffer[],
): boolean {
  for (let layer = 1; layer <= LAYERS; layer++) {
    const below =
      layer === 1 ? NOTHING : Buffer.concat(parents.map((parent) => labelIn(parent, layer - 1)))
    const previous = node > 0 ? labelIn(before, layer) : ZEROS
    const expected = labelOf(replicaId, layer, node, previous, below)
    if (!expected.equals(labelIn(labels, layer))) return false
  }
  return true
}

export function snapOpenings(facts: SnapFacts, trees: SnapTrees): Buffer[] {
  return snapChallenges(facts).map((node) =>
    Buffer.concat([
      trees.commC,
      leafOf(trees.treeROld, node),
      pathOf(trees.treeROld, node),
      leafOf(trees.treeD, node),
      pathOf(trees.treeD, node),
      pathOf(trees.treeRNew, node),
    ]),
  )
}

export function checkSnap(facts: SnapFacts, proof: Buffer): Verdict {
  const input = new Input(proof, nodesOf(facts.sizeBytes))
  const roots = new Roots({ D: facts.commDNew })
  const mask = snapMask(facts)
  for (const node of snapChallenges(facts)) {
    roots.see('C', input.take(NODE_BYTES))
    const old = input.take(NODE_BYTES)
    roots.see('old R', rootFrom(old, node, input.path()))
    const data = input.take(NODE_BYTES)
    roots.see('D', rootFrom(data, node, input.path()))
    roots.see('R', rootFrom(xor(xor(old, data), mask(node)), node, input.path()))
  }
  const pairs = [
    ['C', 'old R', facts.commROld],
    ['C', 'R', facts.commRNew],
  ] as const
  return verdictOf(input, roots, pairs)
}

/** What is laid over the data of an upgrade: it follows from the new data and the old replica. */
export function snapMask({ commDNew, commROld }: SnapFacts): (node: number) => Buffer {
  const key = sha256(Buffer.from(commDNew, 'hex'), Buffer.from(commROld, 'hex'))
  return (node) => sha256(key, numberBytes(node))
}

export function replicaOpening(facts: ReplicaFacts, commC: Uint8Array, treeR: Buffer): Buffer {
  const opened = replicaChallenges(facts).flatMap((node) => [
    leafOf(treeR, node),
    pathOf(treeR, node),
  ])
  return Buffer.concat([commC, ...opened])
}

/** Takes the opening of one replica from the proof. */
export function checkReplica(facts: ReplicaFacts, input: Input): Verdict {
  const roots = new Roots({})
  roots.see('C', input.take(NODE_BYTES))
  for (const node of replicaChallenges(facts)) {
    roots.see('R', rootFrom(input.take(NODE_BYTES), node, input.path()))
  }
  return roots.verdict([['C', 'R', facts.commR]])
}

/** Challenges depend on everything that a prover could choose. */
function sealChallenges(facts: SealFacts): number[] {
  const { sizeBytes, proverId, sectorId, ticket, seed, commR, commD } = facts
  const hashes = [proverId, ticket, seed, commR, commD].map((text) => Buffer.from(text, 'hex'))
  return challengesOf(nodesOf(sizeBytes), Buffer.from('seal'), numberBytes(sectorId), ...hashes)
}

function snapChallenges({ sizeBytes, commROld, commRNew, commDNew }: SnapFacts): number[] {
  const hashes = [commROld, commRNew, commDNew].map((text) => Buffer.from(text, 'hex'))
  return challengesOf(nodesOf(sizeBytes), Buffer.from('snap'), ...hashes)
}

function replicaChallenges({ sizeBytes, seed, minerId, sectorId, commR }: ReplicaFacts): number[] {
  const place = [numberBytes(minerId), numberBytes(sectorId)]
  const hashes = [seed, commR].map((text) => Buffer.from(text, 'hex'))
  return challengesOf(nodesOf(sizeBytes), Buffer.from('window'), ...place, ...hashes)
}

function leafOf(tree: Buffer, node: number): Buffer {
  return tree.subarray(node * NODE_BYTES, (node + 1) * NODE_BYTES)
}

function labelIn(column: Buffer, layer: number): Buffer {
  return column.subarray((layer - 1) * NODE_BYTES, layer * NODE_BYTES)
}

function invalid(reason: string): Verdict {
  return { valid: false, reason }
}

function verdictOf(
  input: Input,
  roots: Roots,
  pairs: readonly (readonly [string, string, string])[],
): Verdict {
  return input.isUsedUp() ? roots.verdict(pairs) : invalid('the proof is of another length')
}

/** Reads a proof from its start; past its end there are zeros, which no check accepts. */
export class Input {
  readonly #bytes: Buffer
  readonly #pathBytes: number
  #at = 0

  constructor(bytes: Buffer, nodes: number) {
    this.#bytes = bytes
    this.#pathBytes = pathBytes(nodes)
  }

  take(bytes: number): Buffer {
    const taken = Buffer.alloc(bytes)
    taken.set(this.#bytes.subarray(this.#at, this.#at + bytes))
    this.#at += bytes
    return taken
  }

  path(): Buffer {
    return this.take(this.#pathBytes)
  }

  /** Exactly: neither too short nor too long. */
  isUsedUp(): boolean {
    return this.#at === this.#bytes.length
  }
}

/** The roots that the openings of a proof lead to: all openings of a tree have to agree. */
class Roots {
  readonly #seen: Map<string, Buffer>
  #torn: string | undefined

  /** @param known hex of the roots that are known from elsewhere */
  constructor(known: Readonly<Record<string, string>>) {
    this.#seen = new Map(
      Object.entries(known).map(([tree, root]) => [tree, Buffer.from(root, 'hex')]),
    )
  }

  see(tree: string, root: Buffer): void {
    const first = this.#seen.get(tree)
    if (first === undefined) this.#seen.set(tree, root)
    else if (!first.equals(root)) this.#torn ??= tree
  }

  /** @param pairs two trees each, and the hex of the CommR that they make together */
  verdict(pairs: readonly (readonly [string, string, string])[]): Verdict {
    if (this.#torn !== undefined) return invalid(`an opening is not of tree ${this.#torn}`)
    for (const [left, right, commR] of pairs) {
      const [commC, commRLast] = [this.#seen.get(left), this.#seen.get(right)]
      const isRight = commC && commRLast && commROf(commC, commRLast).toString('hex') === commR
      if (!isRight) return invalid(`the trees ${left} and ${right} do not make CommR`)
    }
    return { valid: true }
  }
}
