/**
 * The stages snap_encode, snap_vanilla and snap_prove: new data into a sector that was sealed without
 * any. new replica = old replica XOR new data XOR a mask that follows from both. Decides: what is
 * written where. The old files are only read.
 */
import { join } from 'node:path'
import { AUX, type Aux, auxBytes, commROf, readAux, TREE_D, TREE_R } from './cache.ts'
import { checkSnap, type SnapFacts, snapMask, snapOpenings } from './checks.ts'
import { base64, joined } from './commit.ts'
import { readExactly, readIfWhole, writeWhole } from './files.ts'
import { nodesOf } from './graph.ts'
import { rootOf, treeBytes, treeOf, zeroRoot } from './merkle.ts'
import { checkPieces } from './pieces.ts'
import { Refusal } from './refusal.ts'
import { NODE_BYTES, xor } from './sha256.ts'
import type { TaskOf } from './tasks.ts'

export interface SnapEncodeOut {
  comm_r_new: string
  comm_r_last_new: string
  comm_d_new: string
}

export function snapEncode(task: TaskOf<'snap_encode'>): SnapEncodeOut {
  const { sizeBytes } = task.registered_proof
  if (task.new_replica_path === task.sector_path) {
    throw new Refusal('malformed', 'new_replica_path and sector_path are the same file')
  }
  const aux = readAux(task.sector_cache_path)
  const old = readExactly('the sealed file', task.sector_path, sizeBytes)
  checkOld(task, aux, old)
  const data = readExactly('the staged file', task.staged_data_path, sizeBytes)
  const treeD = treeOf(data)
  const commD = rootOf(treeD)
  checkPieces(task.staged_data_path, commD, task.piece_infos, sizeBytes)
  const commDNew = commD.toString('hex')
  const commROld = commROfAux(aux.commC, aux.commRLast)
  const mask = maskBytes(sizeBytes, { sizeBytes, commROld, commDNew, commRNew: '' })
  const replica = xor(xor(old, data), mask)
  const treeR = treeOf(replica)
  const commRLast = rootOf(treeR).toString('hex')
  const before = { commRLast: aux.commRLast, commD: aux.commD }
  const auxNew: Aux = { commC: aux.commC, commRLast, commD: commDNew, before }
  writeWhole([
    { path: task.new_replica_path, data: replica },
    { path: join(task.new_cache_path, TREE_D), data: treeD },
    { path: join(task.new_cache_path, TREE_R), data: treeR },
    { path: join(task.new_cache_path, AUX), data: auxBytes(auxNew) },
  ])
  const commRNew = commROfAux(aux.commC, commRLast)
  return { comm_r_new: commRNew, comm_r_last_new: commRLast, comm_d_new: commDNew }
}

/** Only what was sealed over zeros can be told apart from the key again. */
function checkOld({ sector_path }: TaskOf<'snap_encode'>, aux: Aux, old: Buffer): void {
  const isEmpty = aux.before === undefined && aux.commD === zeroRoot(old.length).toString('hex')
  if (!isEmpty) {
    throw new Refusal('conflict', `the sector of ${sector_path} has data: it cannot be upgraded`)
  }
  if (rootOf(treeOf(old)).toString('hex') === aux.commRLast) return
  throw new Refusal('conflict', `${sector_path} was changed after it was sealed: rebuild it`)
}

export function snapVanilla(task: TaskOf<'snap_vanilla'>): string[] {
  const { sizeBytes } = task.registered_proof
  const facts = factsOf(task)
  const replica = readExactly('the new replica', task.new_replica_path, sizeBytes)
  const old = readExactly('the sealed file', task.sector_path, sizeBytes)
  const aux = readAux(task.new_cache_path)
  const kept = readIfWhole(join(task.new_cache_path, TREE_D), treeBytes(sizeBytes))
  let reason = ''
  for (const treeD of [kept, treeOf(xor(xor(replica, old), maskBytes(sizeBytes, facts)))]) {
    if (treeD === undefined) continue
    const openings = snapOpenings(facts, {
      commC: Buffer.from(aux.commC, 'hex'),
      treeROld: treeOf(old),
      treeD,
      treeRNew: treeOf(replica),
    })
    const verdict = checkSnap(facts, Buffer.concat(openings))
    if (verdict.valid) return openings.map(base64)
    reason = verdict.reason
  }
  throw new Refusal(
    'conflict',
    `${task.new_replica_path} is not what was encoded as CommR ${facts.commRNew}: ${reason}`,
  )
}

export function snapProve(task: TaskOf<'snap_prove'>): { proof: string } {
  const proof = joined(task.vannilla_proofs)
  const verdict = checkSnap(factsOf(task), proof)
  if (verdict.valid) return { proof: base64(proof) }
  throw new Refusal('conflict', `vannilla_proofs do not prove this upgrade: ${verdict.reason}`)
}

function factsOf(task: TaskOf<'snap_prove'> | TaskOf<'snap_vanilla'>): SnapFacts {
  return {
    sizeBytes: task.registered_proof.sizeBytes,
    commROld: task.comm_r_old,
    commRNew: task.comm_r_new,
    commDNew: task.comm_d_new,
  }
}

export function maskBytes(sizeBytes: number, facts: SnapFacts): Buffer {
  const mask = snapMask(facts)
  const bytes = Buffer.alloc(sizeBytes)
  for (let node = 0; node < nodesOf(sizeBytes); node++) bytes.set(mask(node), node * NODE_BYTES)
  return bytes
}

export function commROfAux(commC: string, commRLast: string): string {
  return commROf(Buffer.from(commC, 'hex'), Buffer.from(commRLast, 'hex')).toString('hex')
}
