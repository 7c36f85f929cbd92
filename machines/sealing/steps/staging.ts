/**
 * Pieces and tree D: what is made of a sector's data before it is sealed. Decides: which files, and that
 * each try begins without those of the last. Leaves to others: the bytes (processors `add_pieces` and
 * `tree_d`), where pieces come from (the worker knows).
 *
 * A rebuilt sector that was upgraded is sealed without its deals first; those are staged beside it, so that
 * an operator can still go back to the sealing.
 */
import { access, link, mkdir, readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { errnoOf, namesIn, replaceFile, type SectorPaths } from '../stores/index.ts'
import { type SectorRecord, stepError } from '../thread/index.ts'
import { type Deal, sizeText } from '../venus/index.ts'
import { getFile } from './piece-transfer.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { anyNode, listOfHex } from './task-bytes.ts'

/** What all programs of the family call it. */
const TREE_D_FILE = 'sc-02-data-tree-d.dat'
/** Behind the name of the sector: the second staging of a rebuilt sector. */
export const SNAP_PART = '.snap'

const pieceList = z
  .array(z.object({ commitment: anyNode, size: z.int().min(1) }))
  .min(1)
  .transform((list) =>
    list.map(({ commitment, size }) => ({ commitment: commitment.toString('hex'), size })),
  )

/** As it was written here. */
const ownPieces = z.array(z.object({ commitment: z.string(), size: z.int() }))

export async function addPieces(scene: Scene): Promise<StepResult> {
  // The pieces of an upgraded sector came after its sealing.
  const isUpgraded = isUpgradedRebuild(scene)
  const deals = isUpgraded ? [] : (scene.input.record.deals ?? [])
  const result = await stage(scene, deals, scene.pathsOf())
  if (isUpgraded && 'event' in result) {
    await replaceFile(sealedPiecesFile(scene), JSON.stringify(result.record.pieces))
  }
  return result
}

/** Of a rebuilt sector: whether it goes on to be upgraded. */
export async function prepareForSnap(scene: Scene): Promise<StepResult> {
  if (scene.input.record.finalized === undefined) return { event: 'SkipSnap', record: {} }
  return await stage(scene, scene.need('deals'), scene.pathsOf(SNAP_PART))
}

async function stage(scene: Scene, deals: Deal[], { staged }: SectorPaths): Promise<StepResult> {
  const fetched = `${staged}.fetched`
  await rm(staged, { force: true })
  await rm(fetched, { recursive: true, force: true })
  const { name, sizeBytes } = scene.proof
  const filler = { piece_file: 'pledge', ...unpadded(sizeBytes) }
  const pieces = deals.length === 0 ? [filler] : await pieceTasks(scene, deals, fetched)
  const task = { seal_proof_type: name, pieces, staged_filepath: staged }
  const { output, process } = await scene.run('add_pieces', task, pieceList)
  await rm(fetched, { recursive: true, force: true })
  return { event: 'AddPiece', record: { pieces: output }, ...by(process) }
}

async function pieceTasks(scene: Scene, deals: Deal[], fetched: string): Promise<object[]> {
  const tasks: object[] = []
  for (const { ID, Piece } of deals) {
    const sizes = unpadded(Piece.Size)
    if (ID === 0) {
      tasks.push({ piece_file: 'pledge', ...sizes })
      continue
    }
    const piece_file = await pieceFile(scene, Piece.Cid, fetched)
    tasks.push({ piece_file, ...sizes, payload_size: Piece.PayloadSize ?? sizes.payload_size })
  }
  return tasks
}

/** What a processor can read: a path, or a url that asks for no token. */
async function pieceFile(
  { deps, signal }: Scene,
  cid: string,
  fetched: string,
): Promise<{ local: string } | { url: string }> {
  const file = await deps.pieces.find(cid)
  if (!('url' in file)) return file
  const { url, token } = file
  if (token === undefined) return { url }
  await mkdir(fetched, { recursive: true })
  const local = join(fetched, cid)
  await getFile(new URL(url), local, { signal, token })
  return { local }
}

/** Of 128 bytes in a sector 127 hold data. */
function unpadded(sizeBytes: number): { payload_size: number; piece_size: number } {
  const bytes = (sizeBytes / 128) * 127
  return { payload_size: bytes, piece_size: bytes }
}

export async function buildTreeD(scene: Scene): Promise<StepResult> {
  return await treeD(scene, scene.pathsOf(), !scene.hasDeals || isUpgradedRebuild(scene))
}

export async function buildSnapTreeD(scene: Scene): Promise<StepResult> {
  return await treeD(scene, scene.pathsOf(SNAP_PART), false)
}

async function treeD(
  scene: Scene,
  { prepared, staged }: SectorPaths,
  isWithoutData: boolean,
): Promise<StepResult> {
  await rm(prepared, { recursive: true, force: true })
  await mkdir(prepared, { recursive: true })
  const { name, sizeBytes } = scene.proof
  const ready = isWithoutData ? scene.deps.staticTrees?.[sizeText(sizeBytes)] : undefined
  if (ready !== undefined) {
    // A link to nothing would be found out hours later.
    await access(ready)
    await symlink(ready, join(prepared, TREE_D_FILE))
    return { event: 'BuildTreeD', record: {} }
  }
  const task = { registered_proof: name, staged_file: staged, cache_dir: prepared }
  const { output, process } = await scene.run('tree_d', task, z.boolean())
  if (!output) throw stepError('permanent', `the processor of tree_d made no tree of ${staged}`)
  return { event: 'BuildTreeD', record: {}, ...by(process) }
}

/** Tree D is needed among the other trees; a link that is there already is made anew. */
export async function linkPrepared(prepared: string, cache: string): Promise<void> {
  await mkdir(cache, { recursive: true })
  for (const name of await namesIn(prepared)) {
    if (name.startsWith('.')) continue
    const to = join(cache, name)
    await rm(to, { recursive: true, force: true })
    await linkOrPoint(join(prepared, name), to)
  }
}

/** A file system without hard links takes the other kind. */
async function linkOrPoint(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (thrown) {
    if (errnoOf(thrown) !== 'EPERM' && errnoOf(thrown) !== 'ENOTSUP') throw thrown
    await symlink(from, to)
  }
}

type PieceList = NonNullable<SectorRecord['pieces']>

/** What a processor is told of the pieces of the record. */
export function pieceInfos(pieces: PieceList): { commitment: number[]; size: number }[] {
  return pieces.map(({ commitment, size }) => ({ commitment: listOfHex(commitment), size }))
}

/** Those that a sector is sealed with; an upgraded one's record names those of the upgrade, later on. */
export async function sealedPieces(scene: Scene): Promise<PieceList> {
  if (!isUpgradedRebuild(scene)) return scene.need('pieces')
  return ownPieces.parse(JSON.parse(await readFile(sealedPiecesFile(scene), 'utf8')))
}

function sealedPiecesFile(scene: Scene): string {
  return `${scene.pathsOf().staged}.pieces.json`
}

export function isUpgradedRebuild({ input }: Scene): boolean {
  return input.plan === 'rebuild' && input.record.finalized !== undefined
}

export function by(process: string | null): { process?: string } {
  return process === null ? {} : { process }
}
