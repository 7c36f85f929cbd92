/**
 * The stages pc1 and pc2: labels, then the sealed file. Decides: what they write and what makes them
 * repeatable. Nothing is changed in place: the sealed file is replaced as a whole, and a second pc2
 * tells by the Merkle root whether it meets the data or what the first one made of them.
 */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  AUX,
  auxBytes,
  commROf,
  computeLayers,
  layerFile,
  layersIn,
  type Report,
  TREE_C,
  TREE_D,
  TREE_R,
} from './cache.ts'
import { readExactly, writeWhole } from './files.ts'
import { LAYERS, nodesOf } from './graph.ts'
import { columnHashes, replicaIdOf } from './labels.ts'
import { rootOf, treeOf } from './merkle.ts'
import { checkPieces } from './pieces.ts'
import { Refusal } from './refusal.ts'
import { sha256, xor } from './sha256.ts'
import type { TaskOf } from './tasks.ts'

export interface Pc1Out {
  registered_proof: string | number
  replica_id: string
  comm_d: string
  layers: number
  /** SHA-256 of all of them. */
  labels: string
}

export function preCommit1(task: TaskOf<'pc1'>, report: Report): Pc1Out {
  const { sizeBytes, name } = task.registered_proof
  const data = readExactly('the staged file', task.in_path, sizeBytes)
  const tree = treeOf(data)
  const commD = rootOf(tree)
  checkPieces(task.in_path, commD, task.piece_infos, sizeBytes)
  const replicaId = replicaIdOf({
    proverId: task.prover_id,
    sectorId: task.sector_id,
    ticket: task.ticket,
    commD,
  })
  // What a try with another ticket left belongs to other labels.
  for (const file of [AUX, TREE_C, TREE_R]) rmSync(join(task.cache_path, file), { force: true })
  const layers = computeLayers(replicaId, nodesOf(sizeBytes), report)
  writeWhole([
    ...layers.map((labels, index) => ({
      path: join(task.cache_path, layerFile(index + 1)),
      data: labels,
    })),
    { path: join(task.cache_path, TREE_D), data: tree },
    { path: task.out_path, data },
  ])
  return {
    registered_proof: name,
    replica_id: replicaId.toString('hex'),
    comm_d: commD.toString('hex'),
    layers: LAYERS,
    labels: digestOf(layers),
  }
}

export interface Pc2Out {
  registered_proof: string | number
  comm_r: string
  comm_d: string
}

export function preCommit2(task: TaskOf<'pc2'>, report: Report): Pc2Out {
  const { registered_proof: kind, comm_d: commD } = task.pc1out
  const nodes = nodesOf(kind.sizeBytes)
  const replicaId = Buffer.from(task.pc1out.replica_id, 'hex')
  const kept = layersIn(task.cache_dir, replicaId, nodes, report)
  // With a byte of them changed there would be a CommR that nothing ever proves.
  const isWhole = digestOf(kept) === task.pc1out.labels
  const layers = isWhole ? kept : computeLayers(replicaId, nodes, report)
  const sealed = sealedBytes(task, layers.at(-1)!)
  const treeC = treeOf(columnHashes(layers, nodes))
  report(1, 2, 'tree')
  const treeR = treeOf(sealed)
  report(2, 2, 'tree')
  const [commC, commRLast] = [rootOf(treeC), rootOf(treeR)]
  const aux = { commC: commC.toString('hex'), commRLast: commRLast.toString('hex'), commD }
  writeWhole([
    { path: task.sealed_file, data: sealed },
    { path: join(task.cache_dir, TREE_C), data: treeC },
    { path: join(task.cache_dir, TREE_R), data: treeR },
    { path: join(task.cache_dir, AUX), data: auxBytes(aux) },
  ])
  return {
    registered_proof: kind.name,
    comm_r: commROf(commC, commRLast).toString('hex'),
    comm_d: commD,
  }
}

function digestOf(layers: readonly Buffer[]): string {
  return sha256(...layers).toString('hex')
}

/** @throws Refusal when the file is neither the data nor what an earlier pc2 made of them */
function sealedBytes({ pc1out, sealed_file }: TaskOf<'pc2'>, key: Buffer): Buffer {
  const found = readExactly('the sealed file', sealed_file, pc1out.registered_proof.sizeBytes)
  const other = xor(found, key)
  const commD = Buffer.from(pc1out.comm_d, 'hex')
  if (rootOf(treeOf(found)).equals(commD)) return other
  if (rootOf(treeOf(other)).equals(commD)) return found
  throw new Refusal(
    'conflict',
    `${sealed_file} holds neither the data of this sector nor their sealed form: repeat pc1`,
  )
}
