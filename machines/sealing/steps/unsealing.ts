/**
 * A piece out of a sealed sector, and to where it is wanted. Decides: which files it is read from, and what
 * each kind of destination means. Leaves to others: the unsealing (processor `unseal`), sending (`piece-transfer.ts`).
 */
import { createHash } from 'node:crypto'
import { access, rm } from 'node:fs/promises'
import { z } from 'zod'
import { isMissing, type SectorPaths } from '../stores/index.ts'
import { stepError } from '../thread/index.ts'
import { basicOf, transfer } from './persisting.ts'
import { copyTo, marketUrl, putFile, refusedUrl } from './piece-transfer.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { by } from './staging.ts'
import { listOfBase64, listOfHex } from './task-bytes.ts'

export async function unseal(scene: Scene): Promise<StepResult> {
  const { commD, offset, size } = scene.need('unsealIn')
  const place = scene.need('finalized').private
  if (!place) {
    throw stepError('permanent', 'the manager did not say in which store the sealed sector is')
  }
  const kept = scene.deps.attached.pathsOf(place.AccessInstance, scene.sectorId)
  const task = {
    ...scene.sectorFields,
    ...(await replicaIn(kept)),
    comm_d: listOfHex(commD),
    ticket: listOfBase64(scene.need('ticket').Ticket),
    unsealed_output: scene.pathsOf().staged,
    offset: unpaddedBytes(offset),
    num_bytes: unpaddedBytes(size),
  }
  await rm(task.unsealed_output, { force: true })
  const { output, process } = await scene.run('unseal', task, z.int().min(0))
  if (output !== task.num_bytes) {
    const why = `the processor of unseal gave ${output} bytes of ${task.num_bytes}`
    throw stepError('permanent', why)
  }
  return { event: 'UnsealDone', record: {}, ...by(process) }
}

export async function uploadPiece(scene: Scene): Promise<StepResult> {
  const { pieceCid } = scene.need('unsealIn')
  const urls = await scene.call('AcquireUnsealDest', [scene.sectorId, pieceCid])
  for (const url of urls) {
    const name = createHash('sha256').update(url).digest('hex').slice(0, 16)
    await scene.once(`upload-${name}`, async () => {
      await deliver(scene, url, pieceCid)
      return true
    })
  }
  await scene.callOnce('AchieveUnsealSector', [scene.sectorId, pieceCid, ''])
  return { event: 'UploadPieceDone', record: {} }
}

async function deliver(scene: Scene, text: string, pieceCid: string): Promise<void> {
  const { signal } = scene
  const piece = scene.pathsOf().staged
  if (!URL.canParse(text)) throw stepError('permanent', 'a destination of the piece is no url')
  const url = new URL(text)
  switch (url.protocol) {
    case 'http:':
    case 'https:':
      return await putFile(piece, url, { signal })
    case 'market:':
      return await putFile(piece, ...marketUrl(url, pieceCid, signal))
    case 'file:':
      return await copyTo(piece, url)
    case 'store:':
      return await toStore(scene, url, piece)
    default:
      throw refusedUrl(url, 'a piece goes to http, https, market, file or store')
  }
}

/** `store://name/path`; without a name, to the pieces of the manager. */
async function toStore(scene: Scene, url: URL, piece: string): Promise<void> {
  const { attached, pieces } = scene.deps
  const inner = decodeURIComponent(url.pathname).replace(/^\/+/, '')
  const name = decodeURIComponent(url.host)
  if (name === '') {
    const target = pieces.uploadAddress(inner)
    if (!target) throw refusedUrl(url, 'this worker knows no store of pieces of the manager')
    return await putFile(piece, new URL(target.url), { signal: scene.signal, token: target.token })
  }
  if (attached.get(name).readonly) throw refusedUrl(url, `the store "${name}" is read-only`)
  const route = {
    src: { store_name: null, uri: piece },
    dest: { store_name: name, uri: attached.resolve(name, inner) },
    opt: { is_dir: false, allow_link: false },
  }
  await transfer(scene, [route], await basicOf(scene, name))
}

/** An upgraded sector has its data in the files of the upgrade. */
async function replicaIn(kept: SectorPaths): Promise<{ cache_dir: string; sealed_file: string }> {
  try {
    await access(kept.update)
    return { cache_dir: kept.updateCache, sealed_file: kept.update }
  } catch (thrown) {
    if (!isMissing(thrown)) throw thrown
    return { cache_dir: kept.cache, sealed_file: kept.sealed }
  }
}

/** Processors count the bytes that hold data: 127 of each 128. */
function unpaddedBytes(paddedBytes: number): number {
  return Math.floor(paddedBytes / 128) * 127
}
