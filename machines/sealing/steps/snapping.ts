/**
 * The upgrade of a sector: new data into one that was sealed without. Decides: where the old files come
 * from, and that each try begins with an empty new replica. Leaves to others: the computing.
 */
import { mkdir, open, rm } from 'node:fs/promises'
import { z } from 'zod'
import { stepError } from '../thread/index.ts'
import { fetchSealed } from './persisting.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { by, linkPrepared, pieceInfos, SNAP_PART } from './staging.ts'
import { anyNode, hexOfBase64, listOfHex, proofBytes } from './task-bytes.ts'

const encodeOutput = z.object({ comm_r_new: anyNode, comm_d_new: anyNode })
/** Of processors: opaque texts. */
const vanillaOutput = z.array(z.unknown())
const proveOutput = z.union([
  proofBytes,
  z.object({ proof: proofBytes }).transform(({ proof }) => proof),
])

export async function snapEncode(scene: Scene): Promise<StepResult> {
  const { plan } = scene.input
  if (plan === 'snapup') await fetchSealed(scene, oldStore(scene))
  const paths = scene.pathsOf()
  // A rebuilt sector has its first staging beside it.
  const data = plan === 'rebuild' ? scene.pathsOf(SNAP_PART) : paths
  await rm(paths.updateCache, { recursive: true, force: true })
  await mkdir(paths.updateCache, { recursive: true })
  await linkPrepared(data.prepared, paths.updateCache)
  await makeEmpty(paths.update, scene.proof.sizeBytes)
  const task = {
    registered_proof: scene.proof.name,
    new_replica_path: paths.update,
    new_cache_path: paths.updateCache,
    sector_path: paths.sealed,
    sector_cache_path: paths.cache,
    staged_data_path: data.staged,
    piece_infos: pieceInfos(scene.need('pieces')),
  }
  const { output, process } = await scene.run('snap_encode', task, encodeOutput)
  const commR = output.comm_r_new.toString('hex')
  const commD = output.comm_d_new.toString('hex')
  return { event: 'SnapEncode', record: { snapEncodeOut: { commR, commD } }, ...by(process) }
}

export async function snapProve(scene: Scene): Promise<StepResult> {
  const paths = scene.pathsOf()
  const { commR, commD } = scene.need('snapEncodeOut')
  const claim = {
    registered_proof: scene.proof.name,
    comm_r_old: listOfHex(oldCommR(scene)),
    comm_r_new: listOfHex(commR),
    comm_d_new: listOfHex(commD),
  }
  const replicas = {
    sector_path: paths.sealed,
    sector_cache_path: paths.cache,
    new_replica_path: paths.update,
    new_cache_path: paths.updateCache,
  }
  const vanilla = await scene.run('snap_vanilla', { ...claim, ...replicas }, vanillaOutput)
  // Spelled so by all processors.
  const task = { ...claim, vannilla_proofs: vanilla.output }
  const { output, process } = await scene.run('snap_prove', task, proveOutput)
  const held = await scene.put('snap-proof', output.toString('base64'))
  return { event: 'SnapProve', record: { snapProveOut: held }, ...by(process) }
}

function oldStore(scene: Scene): string {
  const { private: access } = scene.need('finalized')
  if (access) return access.AccessInstance
  throw stepError('permanent', 'the manager did not say in which store the sealed sector is')
}

/** A rebuilt sector was sealed here; of any other the manager has said what it was. */
function oldCommR(scene: Scene): string {
  if (scene.input.plan === 'rebuild') return scene.need('pc2out').commR
  const known = scene.need('finalized').public
  if (known) return hexOfBase64(known.CommR)
  throw stepError('permanent', 'the manager did not say what the sealed sector was (its CommR)')
}

/** Of the size of the sector: processors write into it. */
async function makeEmpty(path: string, sizeBytes: number): Promise<void> {
  await rm(path, { force: true })
  const file = await open(path, 'wx')
  try {
    await file.truncate(sizeBytes)
  } finally {
    await file.close()
  }
}
