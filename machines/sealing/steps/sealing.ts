/**
 * Sealing itself: PC1, PC2, C1, C2. Decides: what each of them starts from, so that a try that was cut off
 * leaves nothing that the next one builds on. Leaves to others: the computing (processors).
 *
 * PC2 works inside the sealed file. A marker says that it has begun; with it the sealed file is copied from
 * the staged one before PC2 begins again. The marker stays until PC1 makes the file anew: a result that was
 * lost behind PC2 is made again from the right bytes, and so is one that an operator asks for again.
 */
import { constants } from 'node:fs'
import { access, copyFile, mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { flush, isMissing, moveDurably, type SectorPaths } from '../stores/index.ts'
import { stepError } from '../thread/index.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { by, linkPrepared, pieceInfos, sealedPieces } from './staging.ts'
import { anyNode, listOfBase64, listOfHex, proofBytes } from './task-bytes.ts'

const PC2_MARKER = '.pc2_running'
const ZERO_SEED = Array<number>(32).fill(0)

/** What passes from one step to the next is the processors' own; it is only kept. */
const opaque = z.unknown()
/** `need_synthetic_proof`: said by processors that seal in that way. */
const pc2Output = z.object({
  comm_r: anyNode,
  comm_d: anyNode,
  need_synthetic_proof: z.boolean().optional(),
})
const c2Output = z.object({ proof: proofBytes })

export async function pc1(scene: Scene): Promise<StepResult> {
  const paths = scene.pathsOf()
  const { input } = scene
  // The ticket is asked for as late as can be: it ages.
  const ticket = input.record.ticket ?? (await scene.call('AssignTicket', [scene.sectorId]))
  await rm(paths.cache, { recursive: true, force: true })
  await linkPrepared(paths.prepared, paths.cache)
  // Not emptied in place: it may be a link to the file of another store.
  await rm(paths.sealed, { force: true })
  await writeFile(paths.sealed, '')
  await rm(markerOf(paths), { force: true })
  const task = {
    ...scene.sectorFields,
    cache_path: paths.cache,
    in_path: paths.staged,
    out_path: paths.sealed,
    ticket: listOfBase64(ticket.Ticket),
    piece_infos: pieceInfos(await sealedPieces(scene)),
  }
  const { output, process } = await scene.run('pc1', task, opaque)
  return {
    event: 'PC1',
    record: { ticket, pc1out: await scene.put('pc1out', output) },
    ...by(process),
  }
}

export async function pc2(scene: Scene): Promise<StepResult> {
  const paths = scene.pathsOf()
  const pc1out = await scene.take('pc1out')
  if (await isThere(markerOf(paths))) await copyAnew(paths)
  else await mark(paths)
  const task = { pc1out, cache_dir: paths.cache, sealed_file: paths.sealed }
  const { output, process } = await scene.run('pc2', task, pc2Output)
  const commR = output.comm_r.toString('hex')
  const commD = output.comm_d.toString('hex')
  const isSynthetic = output.need_synthetic_proof === true
  const { verifyAfterPc2 } = scene.settings
  if (verifyAfterPc2) await vanillaProof(scene, { commR, commD, seed: ZERO_SEED })
  return {
    event: isSynthetic ? 'PC2NeedSyntheticProof' : 'PC2',
    record: { pc2out: { commR, commD } },
    ...by(process),
  }
}

export async function syntheticPoRep(scene: Scene): Promise<StepResult> {
  const { commR, commD } = scene.need('pc2out')
  const { process } = await scene.run(
    'synth_proof',
    await openings(scene, commR, commD),
    z.unknown(),
  )
  return { event: 'SyntheticPoRep', record: {}, ...by(process) }
}

export async function c1(scene: Scene): Promise<StepResult> {
  const seed = listOfBase64(scene.need('seed').Seed)
  const { output, process } = await vanillaProof(scene, { ...scene.need('pc2out'), seed })
  return { event: 'C1', record: { c1out: await scene.put('c1out', output) }, ...by(process) }
}

/** Of a rebuilt sector: nothing goes to the chain, so any challenges will do to see that it is whole. */
export async function checkSealed(scene: Scene): Promise<StepResult> {
  const seed = listOfBase64(scene.need('ticket').Ticket)
  const { process } = await vanillaProof(scene, { ...scene.need('pc2out'), seed })
  return { event: 'CheckSealed', record: {}, ...by(process) }
}

export async function c2(scene: Scene): Promise<StepResult> {
  const { prover_id, sector_id } = scene.sectorFields
  const c1out = await scene.take('c1out')
  const task = { c1out, prover_id, sector_id, miner_id: scene.sectorId.Miner }
  const { output, process } = await scene.run('c2', task, c2Output)
  const held = await scene.put('c2out', output.proof.toString('base64'))
  return { event: 'C2', record: { c2out: held }, ...by(process) }
}

interface Challenged {
  commR: string
  commD: string
  seed: number[]
}

async function vanillaProof(scene: Scene, { commR, commD, seed }: Challenged) {
  const task = { ...(await openings(scene, commR, commD)), seed }
  return await scene.run('c1', task, opaque)
}

async function openings(scene: Scene, commR: string, commD: string) {
  const { cache, sealed } = scene.pathsOf()
  return {
    ...scene.sectorFields,
    cache_dir: cache,
    sealed_file: sealed,
    ticket: listOfBase64(scene.need('ticket').Ticket),
    pc2out: {
      registered_proof: scene.proof.name,
      comm_r: listOfHex(commR),
      comm_d: listOfHex(commD),
    },
    piece_infos: pieceInfos(await sealedPieces(scene)),
  }
}

function markerOf({ prepared }: SectorPaths): string {
  return join(prepared, PC2_MARKER)
}

async function mark(paths: SectorPaths): Promise<void> {
  await mkdir(paths.prepared, { recursive: true })
  await writeFile(markerOf(paths), '')
  // Its name is all there is to it.
  await flush(dirname(markerOf(paths)))
}

/** All or nothing: a copy that was cut off is not taken for the file. */
async function copyAnew({ staged, sealed }: SectorPaths): Promise<void> {
  const draft = `${sealed}.draft`
  await copyFile(staged, draft, constants.COPYFILE_FICLONE)
  await flush(draft)
  await moveDurably(draft, sealed)
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path)
    return true
  } catch (thrown) {
    if (isMissing(thrown)) return false
    throw stepError('critical', `${path} cannot be looked at`, thrown)
  }
}
