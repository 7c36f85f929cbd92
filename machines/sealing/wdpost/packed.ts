/**
 * What goes into a window proof, as it is kept and named. Decides: the id of a job (the same input is the
 * same job), and that its input is deflated: 2,349 sectors of a partition are 700 KB of paths that differ in
 * a number, more than one actor may hold. Pure.
 */
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { TroupeError } from '../../../src/index.ts'
import { digestOf } from '../chain/index.ts'
import { type WdPoStJob, wdpostJob } from '../venus/index.ts'

export type PostInput = WdPoStJob['Input']

const ID_BYTES = 8
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
/** What an input may become again: a bound for whoever packs zeros by the gigabyte. */
const BYTES_MAX = 64 * 1024 ** 2

/** Base58 of the first 8 bytes of SHA-256 of the input. */
export function jobIdOf(input: PostInput): string {
  return base58(digestOf(input).subarray(0, ID_BYTES))
}

function base58(bytes: Buffer): string {
  let rest = bytes.readBigUInt64BE()
  let text = ''
  while (rest > 0n) {
    text = `${BASE58[Number(rest % 58n)]}${text}`
    rest /= 58n
  }
  const zeros = bytes.findIndex((byte) => byte !== 0)
  return '1'.repeat(zeros < 0 ? bytes.length : zeros) + text
}

export function packInput(input: PostInput): string {
  return deflateRawSync(JSON.stringify(input)).toString('base64')
}

/** @throws TroupeError `internal` for what `packInput` never made */
export function unpackInput(packed: string): PostInput {
  try {
    const bytes = inflateRawSync(Buffer.from(packed, 'base64'), { maxOutputLength: BYTES_MAX })
    return wdpostJob.shape.Input.parse(JSON.parse(bytes.toString('utf8')))
  } catch (cause) {
    throw new TroupeError('internal', 'the input of a window proof cannot be read', { cause })
  }
}
