/**
 * What lies in a sector's cache directory. Decides: the names and the form of `p_aux`. All but `p_aux`
 * can be made anew from the sealed file and the names of the sector, and is, when it is missing. A sealed
 * sector needs `p_aux` for as long as it is proven.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readIfWhole } from './files.ts'
import { LAYERS } from './graph.ts'
import { computeLayer } from './labels.ts'
import { Refusal } from './refusal.ts'
import { NODE_BYTES, sha256 } from './sha256.ts'

export const TREE_C = 'sc-02-data-tree-c.dat'
export const TREE_D = 'sc-02-data-tree-d.dat'
export const TREE_R = 'sc-02-data-tree-r-last.dat'
export const AUX = 'p_aux'

/** Layers count from 1. */
export function layerFile(layer: number): string {
  return `sc-02-data-layer-${layer}.dat`
}

/** Commitments, hex of 32 bytes each. */
export interface Aux {
  commC: string
  commRLast: string
  commD: string
  /** Of an upgraded sector: what these were before. */
  before?: { commRLast: string; commD: string }
}

export function auxBytes(aux: Aux): Buffer {
  return Buffer.from(`${JSON.stringify({ version: 1, ...aux })}\n`)
}

/** @throws Refusal when it is not ours or damaged */
export function readAux(cacheDir: string): Aux {
  const path = join(cacheDir, AUX)
  const aux = auxIn(readFileSync(path, 'utf8'))
  if (aux) return aux
  throw new Refusal(
    'conflict',
    `${path} is damaged, or of another prover: seal with the processor that verifies`,
  )
}

function auxIn(text: string): Aux | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { commC, commRLast, commD, before } = (value ?? {}) as Record<string, unknown>
  if (!isHash(commC) || !isHash(commRLast) || !isHash(commD)) return undefined
  if (before === undefined) return { commC, commRLast, commD }
  const old = (before ?? {}) as Record<string, unknown>
  if (!isHash(old['commRLast']) || !isHash(old['commD'])) return undefined
  const told = { commRLast: old['commRLast'], commD: old['commD'] }
  return { commC, commRLast, commD, before: told }
}

function isHash(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)
}

export function commROf(commC: Uint8Array, commRLast: Uint8Array): Buffer {
  return sha256(commC, commRLast)
}

/** Tells how far a stage is. */
export type Report = (done: number, of: number, what: string) => void

/** All labels, from the files of the cache where these are whole. */
export function layersIn(
  cacheDir: string,
  replicaId: Uint8Array,
  nodes: number,
  report: Report,
): Buffer[] {
  const kept = Array.from({ length: LAYERS }, (_, index) =>
    readIfWhole(join(cacheDir, layerFile(index + 1)), nodes * NODE_BYTES),
  )
  return kept.every((labels) => labels !== undefined)
    ? kept
    : computeLayers(replicaId, nodes, report)
}

export function computeLayers(replicaId: Uint8Array, nodes: number, report: Report): Buffer[] {
  const layers: Buffer[] = []
  for (let layer = 1; layer <= LAYERS; layer++) {
    layers.push(computeLayer(replicaId, layer, layers.at(-1) ?? null, nodes))
    report(layer, LAYERS, 'layer')
  }
  return layers
}
