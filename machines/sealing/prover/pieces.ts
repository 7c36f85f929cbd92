/**
 * The stages add_pieces and tree_d: pieces into a staged file of exactly the size of the sector, and the
 * commitments to them. Decides: where a piece lies (at the next multiple of its size, zeros between),
 * so that CommD follows from the commitments of the pieces. A payload is laid down as it is: the room
 * that real sectors need for padding (1 byte of 128) is kept in the sizes only.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { type Report, TREE_D } from './cache.ts'
import { readExactly, writeWhole } from './files.ts'
import { rootOf, treeOf, zeroRoot } from './merkle.ts'
import { Refusal } from './refusal.ts'
import { sha256 } from './sha256.ts'
import type { PieceInfo, TaskOf } from './tasks.ts'

/** A server that sends nothing for so long is given up. */
const SILENT_MS_MAX = 60_000

type Piece = TaskOf<'add_pieces'>['pieces'][number]

export async function addPieces(
  task: TaskOf<'add_pieces'>,
  _report?: Report,
  { silentMsMax = SILENT_MS_MAX }: { silentMsMax?: number } = {},
): Promise<PieceInfo[]> {
  const { sizeBytes } = task.seal_proof_type
  const staged = Buffer.alloc(sizeBytes)
  const offsets = placesOf(
    task.pieces.map(({ piece_size }) => piece_size),
    sizeBytes,
  )
  const infos: PieceInfo[] = []
  for (const [index, piece] of task.pieces.entries()) {
    const { piece_size: size, payload_size: payload } = piece
    if (payload > (size / 128) * 127) {
      const most = (size / 128) * 127
      const told = `piece ${index} has ${payload} bytes; a piece of ${size} holds ${most}`
      throw new Refusal('malformed', told)
    }
    const room = staged.subarray(offsets[index]!, offsets[index]! + size)
    await fill(piece, room.subarray(0, payload), silentMsMax)
    infos.push({ commitment: commitmentOf(room).toString('hex'), size })
  }
  writeWhole([{ path: task.staged_filepath, data: staged }])
  return infos
}

/** Where pieces of these padded sizes lie. @throws Refusal when they do not fit */
export function placesOf(sizes: readonly number[], sizeBytes: number): number[] {
  let end = 0
  return sizes.map((size) => {
    const at = Math.ceil(end / size) * size
    end = at + size
    if (end <= sizeBytes) return at
    throw new Refusal('malformed', `the pieces do not fit into a sector of ${sizeBytes} bytes`)
  })
}

export function commitmentOf(padded: Uint8Array): Buffer {
  const isFiller = padded.every((byte) => byte === 0)
  return isFiller ? zeroRoot(padded.length) : rootOf(treeOf(padded))
}

/** CommD of a sector that holds these pieces and nothing else. */
export function commDOf(pieces: readonly PieceInfo[], sizeBytes: number): Buffer {
  const offsets = placesOf(
    pieces.map(({ size }) => size),
    sizeBytes,
  )
  const placed = pieces.map(({ commitment, size }, index) => ({
    at: offsets[index]!,
    size,
    root: Buffer.from(commitment, 'hex'),
  }))
  const rootOver = (at: number, size: number, inside: typeof placed): Buffer => {
    const [only] = inside
    if (only === undefined) return zeroRoot(size)
    if (only.size === size) return only.root
    const middle = at + size / 2
    const left = inside.filter((piece) => piece.at < middle)
    const right = inside.slice(left.length)
    return sha256(rootOver(at, size / 2, left), rootOver(middle, size / 2, right))
  }
  return rootOver(0, sizeBytes, placed)
}

export function treeD(task: TaskOf<'tree_d'>): boolean {
  const { sizeBytes } = task.registered_proof
  const tree = treeOf(readExactly('the staged file', task.staged_file, sizeBytes))
  writeWhole([{ path: join(task.cache_dir, TREE_D), data: tree }])
  return true
}

/** @throws Refusal unless the data are those of the pieces */
export function checkPieces(
  path: string,
  commD: Uint8Array,
  pieces: readonly PieceInfo[],
  sizeBytes: number,
): void {
  if (commDOf(pieces, sizeBytes).equals(commD)) return
  throw new Refusal(
    'conflict',
    `${path} does not hold the pieces of piece_infos: add the pieces again`,
  )
}

async function fill({ piece_file }: Piece, room: Buffer, silentMsMax: number): Promise<void> {
  if (piece_file === 'pledge') return
  if ('url' in piece_file) return await download(piece_file.url, room, silentMsMax)
  const { local } = piece_file
  const found = statSync(local)
  if (found.size === room.length) room.set(readExactly('the piece', local, room.length))
  else throw wrongLength(local, found.size, room.length)
}

/** @throws Refusal `unavailable` when the same request may be answered later */
async function download(url: string, room: Buffer, silentMsMax: number): Promise<void> {
  const from = withoutQuery(url)
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(), silentMsMax)
  let at = 0
  try {
    const response = await fetch(url, { signal: silence.signal })
    if (!response.ok || !response.body) throw badAnswer(from, response.status)
    for await (const chunk of response.body) {
      timer.refresh()
      if (at + chunk.length > room.length) throw wrongLength(from, null, room.length)
      room.set(chunk, at)
      at += chunk.length
    }
  } catch (thrown) {
    if (thrown instanceof Refusal) throw thrown
    const why = silence.signal.aborted ? `nothing came for ${silentMsMax} ms` : reasonOf(thrown)
    throw new Refusal('unavailable', `the piece ${from} cannot be fetched: ${why}`)
  } finally {
    clearTimeout(timer)
  }
  if (at < room.length) throw wrongLength(from, at, room.length)
}

function badAnswer(from: string, status: number): Refusal {
  const isPassing = status >= 500 || status === 429 || status === 408
  const code = isPassing ? 'unavailable' : status === 404 ? 'not-found' : 'forbidden'
  return new Refusal(code, `the server of the piece ${from} answers ${status}`)
}

function wrongLength(from: string, is: number | null, expected: number): Refusal {
  const found = is === null ? `more than ${expected}` : String(is)
  return new Refusal('conflict', `the piece ${from} has ${found} bytes, not ${expected}`)
}

/** Tokens of piece stores are in the query; messages end up in logs. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

function reasonOf(thrown: unknown): string {
  const cause = thrown instanceof Error ? (thrown.cause ?? thrown) : thrown
  return cause instanceof Error ? cause.message : String(cause)
}
