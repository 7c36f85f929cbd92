/**
 * Commitments to data: Merkle roots by SHA-256 over nodes of 32 bytes, as the reference processors make
 * them. Decides: how pieces lie in a sector, and what its data commitment has to be. Pure.
 */
import { createHash } from 'node:crypto'
import { commitmentOf, zeroRoot } from '../prover/index.ts'
import type { Deal } from '../venus/index.ts'

const PIECE_BYTES_MIN = 128
const COMMITMENT = /^[0-9a-f]{64}$/

interface Aligned {
  size: number
  node: Buffer
}

function parentOf(left: Uint8Array, right: Uint8Array): Buffer {
  return createHash('sha256').update(left).update(right).digest()
}

/** Of a piece of `sizeBytes`, a power of two: what the payload leaves of it is zeros. */
export function commitmentOfPiece(payload: Uint8Array, sizeBytes: number): string {
  const data = Buffer.alloc(sizeBytes)
  data.set(payload)
  return commitmentOf(data).toString('hex')
}

export function commitmentOfZeros(sizeBytes: number): string {
  return zeroRoot(sizeBytes).toString('hex')
}

/** Deals, the largest first so that each stands aligned, and filler (deal 0) up to the end. */
export function withFiller(deals: readonly Deal[], sectorBytes: number): Deal[] {
  const pieces = [...deals].sort((a, b) => b.Piece.Size - a.Piece.Size || a.ID - b.ID)
  let end = pieces.reduce((sum, { Piece }) => sum + Piece.Size, 0)
  while (end < sectorBytes && end > 0) {
    const Size = alignmentOf(end)
    pieces.push({ ID: 0, Piece: { Size, PayloadSize: 0, Cid: commitmentOfZeros(Size) } })
    end += Size
  }
  return pieces
}

/** The largest power of two that divides it. */
function alignmentOf(bytes: number): number {
  let size = PIECE_BYTES_MIN
  while (bytes % (2 * size) === 0) size *= 2
  return size
}

/**
 * What the data commitment of a sector with these pieces is, in hex; null where one of them has no
 * commitment of this kind. Without pieces the sector holds zeros.
 */
export function commitmentOfSector(pieces: readonly Deal[], sectorBytes: number): string | null {
  if (pieces.length === 0) return commitmentOfZeros(sectorBytes)
  const whole: Aligned[] = []
  for (const { Piece } of pieces) {
    if (!COMMITMENT.test(Piece.Cid) || Piece.Size < PIECE_BYTES_MIN) return null
    let last: Aligned = { size: Piece.Size, node: Buffer.from(Piece.Cid, 'hex') }
    for (;;) {
      const before = whole.at(-1)
      if (before === undefined || before.size !== last.size) break
      whole.pop()
      last = { size: 2 * last.size, node: parentOf(before.node, last.node) }
    }
    whole.push(last)
  }
  const [root] = whole
  return whole.length === 1 && root?.size === sectorBytes ? root.node.toString('hex') : null
}
