/**
 * The stage unseal: bytes of the data back out of a sealed file. Decides: that nothing is handed out
 * which is not part of CommD; labels are computed anew where the cache has none. As for all processors,
 * offset and count are without padding: a piece begins at 127/128 of its place, and so many of its bytes
 * can hold data.
 */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { AUX, computeLayers, layersIn, type Report, readAux } from './cache.ts'
import { readExactly, writeWhole } from './files.ts'
import { nodesOf } from './graph.ts'
import { replicaIdOf } from './labels.ts'
import { rootOf, treeOf } from './merkle.ts'
import { Refusal } from './refusal.ts'
import { xor } from './sha256.ts'
import { commROfAux, maskBytes } from './snap.ts'
import type { TaskOf } from './tasks.ts'

/** @returns how many bytes were written */
export function unseal(task: TaskOf<'unseal'>, report: Report): number {
  const { num_bytes: bytes, comm_d: commD } = task
  const { sizeBytes } = task.registered_proof
  const begin = placeOf(task)
  const sealed = readExactly('the sealed file', task.sealed_file, sizeBytes)
  for (const cache of [task.cache_dir, null]) {
    const data = xor(sealed, keyOf(task, cache, report))
    if (rootOf(treeOf(data)).toString('hex') !== commD) continue
    writeWhole([{ path: task.unsealed_output, data: data.subarray(begin, begin + bytes) }])
    return bytes
  }
  throw new Refusal(
    'conflict',
    `${task.sealed_file} does not unseal to CommD ${commD}: it was changed, or the ticket is another`,
  )
}

/** @throws Refusal when no piece can begin there, or the sector ends before */
function placeOf({ offset, num_bytes, registered_proof: { sizeBytes } }: TaskOf<'unseal'>): number {
  const begin = (offset / 127) * 128
  if (Number.isInteger(begin) && begin + num_bytes <= sizeBytes) return begin
  throw new Refusal(
    'malformed',
    `${num_bytes} bytes at ${offset} are no part of a piece in a sector of ${sizeBytes}: count without padding (127/128), from where a piece begins`,
  )
}

/** What lies over the data. @param cache null computes all of it */
function keyOf(task: TaskOf<'unseal'>, cache: string | null, report: Report): Buffer {
  const { sizeBytes } = task.registered_proof
  const aux = existsSync(join(task.cache_dir, AUX)) ? readAux(task.cache_dir) : undefined
  const upgraded = aux?.before
  const replicaId = replicaIdOf({
    proverId: task.prover_id,
    sectorId: task.sector_id,
    ticket: task.ticket,
    commD: Buffer.from(upgraded?.commD ?? task.comm_d, 'hex'),
  })
  const nodes = nodesOf(sizeBytes)
  const layers =
    cache === null
      ? computeLayers(replicaId, nodes, report)
      : layersIn(cache, replicaId, nodes, report)
  const key = layers.at(-1)!
  if (!aux || !upgraded) return key
  // The old replica was sealed over zeros, so it is the key itself.
  const commROld = commROfAux(aux.commC, upgraded.commRLast)
  const facts = { sizeBytes, commROld, commDNew: task.comm_d, commRNew: '' }
  return xor(key, maskBytes(sizeBytes, facts))
}
