/**
 * The stage window_post: replicas are still there, and unchanged. Decides: what a fault is. At the
 * sizes of this prover all of a replica is read, so any byte that changed is found, not only one that
 * a challenge happens to meet. The proof is of the replicas that are no faults, in their order.
 */
import { commROf, type Report, readAux } from './cache.ts'
import { type ReplicaFacts, replicaOpening } from './checks.ts'
import { base64 } from './commit.ts'
import { readExactly } from './files.ts'
import { rootOf, treeOf } from './merkle.ts'
import type { TaskOf } from './tasks.ts'

type Replica = TaskOf<'window_post'>['replicas'][number]

export interface WindowPostOut {
  /** Base64; one for all replicas, none where all are faults. */
  proofs: string[]
  /** Numbers of sectors. */
  faults: number[]
}

export function windowPost(task: TaskOf<'window_post'>, report: Report): WindowPostOut {
  const openings: Buffer[] = []
  const faults: number[] = []
  for (const [index, replica] of task.replicas.entries()) {
    const opening = openingOf(task, replica)
    if (opening) openings.push(opening)
    else faults.push(replica.sector_id)
    report(index + 1, task.replicas.length, 'replica')
  }
  return { proofs: openings.length > 0 ? [base64(Buffer.concat(openings))] : [], faults }
}

/** Undefined for a fault: whatever cannot be read now cannot be proven now. */
function openingOf(task: TaskOf<'window_post'>, replica: Replica): Buffer | undefined {
  const { sizeBytes } = task.proof_type
  const facts: ReplicaFacts = {
    sizeBytes,
    seed: task.seed,
    minerId: task.miner_id,
    sectorId: replica.sector_id,
    commR: replica.comm_r,
  }
  try {
    const commC = Buffer.from(readAux(replica.cache_dir).commC, 'hex')
    const treeR = treeOf(readExactly('the sealed file', replica.sealed_file, sizeBytes))
    const isWhole = commROf(commC, rootOf(treeR)).toString('hex') === replica.comm_r
    return isWhole ? replicaOpening(facts, commC, treeR) : undefined
  } catch {
    return undefined
  }
}
