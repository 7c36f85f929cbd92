/**
 * The checksums of a shard: the crc32 of its bytes, and one of each 64 KiB block where there are
 * several, so that a part is read without the rest. Decides: that each byte is looked at once (the
 * crc32 of the whole is put together from those of the blocks), and so the whole's, which stands in the
 * head, proves the blocks'.
 */
import { crc32 } from 'node:zlib'
import { refusal } from '../codes/index.ts'

export const BLOCK_BYTES = 65_536
const CRC_BYTES = 4
/** The polynomial of crc32, its highest power left out, lowest bit first. */
const POLYNOMIAL = 0xedb8_8320
const ONE = 0x8000_0000

export interface Checksums {
  crc: number
  /** Of the blocks, 4 bytes each; empty where there is only one. */
  table: Buffer
}

export function tableBytesOf(size: number): number {
  return size <= BLOCK_BYTES ? 0 : Math.ceil(size / BLOCK_BYTES) * CRC_BYTES
}

export function checksumsOf(body: Uint8Array): Checksums {
  const running = new RunningChecksums()
  running.add(body)
  return running.finish()
}

/** Of a body that comes in pieces of any size. */
export class RunningChecksums {
  readonly #blocks: number[] = []
  #crc = 0
  #bytes = 0

  add(piece: Uint8Array): void {
    for (let from = 0; from < piece.length; ) {
      const part = piece.subarray(from, from + BLOCK_BYTES - this.#bytes)
      this.#crc = crc32(part, this.#crc)
      this.#bytes += part.length
      from += part.length
      if (this.#bytes === BLOCK_BYTES) this.#endBlock()
    }
  }

  finish(): Checksums {
    const lastBytes = this.#bytes || BLOCK_BYTES
    if (this.#bytes > 0) this.#endBlock()
    const table = this.#blocks.length > 1 ? tableOf(this.#blocks) : Buffer.alloc(0)
    return { crc: wholeOf(this.#blocks, lastBytes), table }
  }

  #endBlock(): void {
    this.#blocks.push(this.#crc)
    this.#crc = 0
    this.#bytes = 0
  }
}

/** Whether these are the checksums of the blocks of a shard of that size and crc32. */
export function isTableOf(table: Buffer, size: number, crc: number): boolean {
  if (table.length !== tableBytesOf(size)) return false
  const blocks: number[] = []
  for (let at = 0; at < table.length; at += CRC_BYTES) blocks.push(table.readUInt32LE(at))
  return wholeOf(blocks, size % BLOCK_BYTES || BLOCK_BYTES) === crc
}

/** Whether `bytes`, whole blocks from block `first` on, are what the table says. */
export function areBlocksOf(table: Buffer, first: number, bytes: Buffer): boolean {
  for (let from = 0, block = first; from < bytes.length; from += BLOCK_BYTES, block += 1) {
    const crc = crc32(bytes.subarray(from, from + BLOCK_BYTES))
    if (crc !== table.readUInt32LE(block * CRC_BYTES)) return false
  }
  return true
}

function tableOf(blocks: readonly number[]): Buffer {
  const table = Buffer.alloc(blocks.length * CRC_BYTES)
  for (const [index, crc] of blocks.entries()) table.writeUInt32LE(crc, index * CRC_BYTES)
  return table
}

function wholeOf(blocks: readonly number[], lastBytes: number): number {
  let whole = blocks[0] ?? 0
  for (let index = 1; index < blocks.length; index += 1) {
    const shift = index === blocks.length - 1 ? shiftOf(lastBytes) : BLOCK_SHIFT
    // As if zeros in place of the block were hashed first; what the block adds is its own checksum.
    whole = (multiply(shift, whole) ^ blocks[index]!) >>> 0
  }
  return whole
}

/** Multiplies two polynomials modulo that of crc32. */
function multiply(a: number, b: number): number {
  let product = 0
  let factor = b
  for (let bit = ONE; bit !== 0; bit >>>= 1) {
    if ((a & bit) !== 0) product ^= factor
    factor = (factor & 1) === 0 ? factor >>> 1 : (factor >>> 1) ^ POLYNOMIAL
  }
  return product >>> 0
}

/** x to the power of eight times `bytes`: what hashing so many zero bytes multiplies by. */
function shiftOf(bytes: number): number {
  let shift = ONE
  let square = ONE >>> 8
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) shift = multiply(square, shift)
    square = multiply(square, square)
  }
  return shift
}

const BLOCK_SHIFT = shiftOf(BLOCK_BYTES)

/** Bytes that changed on their way are not stored: later they would fit the checksum that they had then. */
export function requireMeant(bid: bigint, crc: number, meant: number | undefined): void {
  if (meant === undefined || crc === meant) return
  throw refusal(658, `shard ${bid} came with the checksum ${crc}, not ${meant}; send it again`)
}
