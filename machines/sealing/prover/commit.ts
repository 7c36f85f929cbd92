/**
 * The stages c1 and c2: openings, and the proof made of them. Decides: that c1 reads all of the sealed
 * file and has its openings checked before it hands them out, so that a byte that was changed after
 * sealing is found here, and by every verifier of a proof that was made all the same.
 */
import { join } from 'node:path'
import { computeLayers, layersIn, type Report, TREE_C, TREE_D } from './cache.ts'
import { checkSeal, type SealFacts, type SealTrees, sealOpenings } from './checks.ts'
import { readExactly, readIfWhole } from './files.ts'
import { nodesOf } from './graph.ts'
import { columnHashes, replicaIdOf } from './labels.ts'
import { treeBytes, treeOf } from './merkle.ts'
import { checkPieces } from './pieces.ts'
import { Refusal } from './refusal.ts'
import { xor } from './sha256.ts'
import type { TaskOf } from './tasks.ts'

export interface C1Out {
  registered_proof: string | number
  comm_r: string
  comm_d: string
  ticket: string
  seed: string
  /** Base64; one per challenge. */
  vanilla_proofs: string[]
}

export function commit1(task: TaskOf<'c1'>, report: Report): C1Out {
  const { registered_proof: kind, pc2out } = task
  const facts: SealFacts = {
    sizeBytes: kind.sizeBytes,
    proverId: task.prover_id,
    sectorId: task.sector_id,
    ticket: task.ticket,
    seed: task.seed,
    commR: pc2out.comm_r,
    commD: pc2out.comm_d,
  }
  if (task.piece_infos.length > 0) {
    const commD = Buffer.from(pc2out.comm_d, 'hex')
    checkPieces(task.sealed_file, commD, task.piece_infos, kind.sizeBytes)
  }
  const sealed = readExactly('the sealed file', task.sealed_file, kind.sizeBytes)
  return {
    registered_proof: kind.name,
    ...pc2out,
    ticket: task.ticket,
    seed: task.seed,
    vanilla_proofs: openSealed(facts, sealed, task, report).map(base64),
  }
}

/** @throws Refusal when what lies there does not prove the claim */
function openSealed(
  facts: SealFacts,
  sealed: Buffer,
  { cache_dir, sealed_file }: TaskOf<'c1'>,
  report: Report,
): Buffer[] {
  let reason = ''
  // What the cache holds is but a short cut: where it is wrong, everything is computed anew.
  for (const cache of [cache_dir, null]) {
    const openings = sealOpenings(facts, treesOf(facts, sealed, cache, report))
    const verdict = checkSeal(facts, Buffer.concat(openings))
    if (verdict.valid) return openings
    reason = verdict.reason
  }
  throw new Refusal(
    'conflict',
    `${sealed_file} is not what was sealed as CommR ${facts.commR}: ${reason}`,
  )
}

/** @param cache the directory with what was computed before; null computes all of it */
export function treesOf(
  facts: SealFacts,
  sealed: Buffer,
  cache: string | null,
  report: Report,
): SealTrees {
  const nodes = nodesOf(facts.sizeBytes)
  const replicaId = replicaIdOf({ ...facts, commD: Buffer.from(facts.commD, 'hex') })
  const kept = (name: string) =>
    cache === null ? undefined : readIfWhole(join(cache, name), treeBytes(sealed.length))
  const layers =
    cache === null
      ? computeLayers(replicaId, nodes, report)
      : layersIn(cache, replicaId, nodes, report)
  return {
    layers,
    treeC: kept(TREE_C) ?? treeOf(columnHashes(layers, nodes)),
    treeD: kept(TREE_D) ?? treeOf(xor(sealed, layers.at(-1)!)),
    treeR: treeOf(sealed),
  }
}

export function commit2({ c1out, prover_id, sector_id }: TaskOf<'c2'>): { proof: string } {
  const proof = joined(c1out.vanilla_proofs)
  const verdict = checkSeal(
    {
      sizeBytes: c1out.registered_proof.sizeBytes,
      proverId: prover_id,
      sectorId: sector_id,
      ticket: c1out.ticket,
      seed: c1out.seed,
      commR: c1out.comm_r,
      commD: c1out.comm_d,
    },
    proof,
  )
  if (verdict.valid) return { proof: base64(proof) }
  throw new Refusal('conflict', `c1out does not prove this sector: ${verdict.reason}`)
}

export function joined(openings: readonly string[]): Buffer {
  return Buffer.concat(openings.map((text) => Buffer.from(text, 'base64')))
}

export function base64(bytes: Buffer): string {
  return bytes.toString('base64')
}
