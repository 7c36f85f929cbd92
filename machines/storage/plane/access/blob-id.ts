/**
 * The id of an object. Decides: its form. It says all of where the object is, so that no table has to be
 * asked, or kept; a checksum finds what was mistyped or cut. Whoever has an id may ask for it: it is an
 * address, and no secret that opens anything.
 *
 * Bytes: form, mode, size, bytes of a blob, number of slices, then vid, first bid and count of each; all
 * numbers as LEB128, then the CRC-32 of what stands before it. As base64url.
 */
import { crc32 } from 'node:zlib'
import { TroupeError } from '../../../../src/index.ts'
import { type CodeMode, codeModeOf, VID_MAX } from '../codes/index.ts'
import { BLOB_BYTES_MAX, SLICES_MAX } from './limits.ts'

/** Blobs of one volume whose bids follow one another. */
export interface Slice {
  vid: number
  firstBid: bigint
  count: number
}

export interface BlobId {
  mode: CodeMode
  /** Bytes of the object. */
  size: number
  /** All blobs but the last one have so many bytes. */
  blobBytes: number
  slices: readonly Slice[]
}

const FORM = 1
const CRC_BYTES = 4
const BID_MAX = 2n ** 64n - 1n
/** A number of 64 bits. */
const NUMBER_BYTES_MAX = 10

/** An object without bytes has a blob, too: of one zero, so that it can be deleted as any other. */
export function blobCountOf(size: number, blobBytes: number): number {
  return Math.max(1, Math.ceil(size / blobBytes))
}

/** @throws TroupeError `too-large` */
export function formatBlobId({ mode, size, blobBytes, slices }: BlobId): string {
  if (slices.length > SLICES_MAX) throw tooManySlices()
  const bytes: number[] = [FORM]
  for (const value of [mode.id, size, blobBytes, slices.length]) append(bytes, BigInt(value))
  for (const { vid, firstBid, count } of slices) {
    append(bytes, BigInt(vid))
    append(bytes, firstBid)
    append(bytes, BigInt(count))
  }
  const body = Buffer.from(bytes)
  const check = Buffer.alloc(CRC_BYTES)
  check.writeUInt32BE(crc32(body))
  return Buffer.concat([body, check]).toString('base64url')
}

export function tooManySlices(): TroupeError {
  const why = `it came to lie in more than ${SLICES_MAX} runs of blobs`
  return new TroupeError('too-large', `the object is too large for one id: ${why}; put it in parts`)
}

/** @throws TroupeError `malformed` */
export function parseBlobId(text: string): BlobId {
  const bytes = Buffer.from(text, 'base64url')
  // What base64url skips, or leaves open in its last digit, would make two texts of one id.
  if (text === '' || bytes.toString('base64url') !== text) throw damaged(text, 'is no blob id')
  const body = bytes.subarray(0, -CRC_BYTES)
  if (bytes.length <= CRC_BYTES || crc32(body) !== bytes.readUInt32BE(body.length))
    throw damaged(text, 'is damaged: its checksum is another')
  if (body[0] !== FORM) throw damaged(text, `has a form (${body[0]}) that is not known here`)
  const id = fieldsOf(new Numbers(body.subarray(1)), text)
  if (id) return id
  throw damaged(text, 'says what cannot be')
}

function fieldsOf(numbers: Numbers, text: string): BlobId | undefined {
  const [modeId, size, blobBytes, slices] = [1, 2, 3, 4].map(() => numbers.nextSmall())
  if (modeId === undefined || size === undefined || blobBytes === undefined) return undefined
  if (blobBytes < 1 || blobBytes > BLOB_BYTES_MAX) return undefined
  if (slices === undefined || slices > SLICES_MAX) return undefined
  const found: Slice[] = []
  for (let at = 0; at < slices; at++) {
    const vid = numbers.nextSmall()
    const firstBid = numbers.next()
    const count = numbers.nextSmall()
    if (vid === undefined || firstBid === undefined || count === undefined) return undefined
    if (vid < 1 || vid > VID_MAX || firstBid < 1n || count < 1) return undefined
    if (firstBid + BigInt(count) - 1n > BID_MAX) return undefined
    found.push({ vid, firstBid, count })
  }
  const count = found.reduce((sum, slice) => sum + slice.count, 0)
  if (!numbers.isAtEnd || count !== blobCountOf(size, blobBytes)) return undefined
  return { mode: modeOf(modeId, text), size, blobBytes, slices: found }
}

function modeOf(id: number, text: string): CodeMode {
  try {
    return codeModeOf(id)
  } catch {
    throw damaged(text, `names a code mode (${id}) that is not known here`)
  }
}

function damaged(text: string, why: string): TroupeError {
  const shown = text.length > 40 ? `${text.slice(0, 40)}…` : text
  return new TroupeError('malformed', `"${shown}" ${why}; give it as the put answered it`)
}

function append(bytes: number[], value: bigint): void {
  let rest = value
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  bytes.push(Number(rest))
}

/** Reads LEB128; undefined where there is none, or one that could have been written shorter. */
class Numbers {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  next(): bigint | undefined {
    let value = 0n
    for (let place = 0; place < NUMBER_BYTES_MAX; place++) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) return undefined
      value |= BigInt(byte & 0x7f) << BigInt(7 * place)
      if (byte < 0x80) return (byte === 0 && place > 0) || value > BID_MAX ? undefined : value
    }
    return undefined
  }

  nextSmall(): number | undefined {
    const value = this.next()
    return value === undefined || value > Number.MAX_SAFE_INTEGER ? undefined : Number(value)
  }
}
