/**
 * Identifiers of 64 bits. Decides: how the id of a volume unit is put together, and in which forms ids of
 * volume units and blobs may arrive from outside: what has lost a digit on its way is refused.
 */
import { z } from 'zod'
import { TroupeError } from '../../../../src/index.ts'

/** vid (32 bits), index (8), epoch (24): one place of a volume, and how often it was given a new chunk. */
export type Vuid = bigint

export interface VuidParts {
  vid: number
  index: number
  epoch: number
}

export const VID_MAX = 4294967295
export const INDEX_MAX = 255
export const EPOCH_MAX = 16777215

const BID_MAX = 2n ** 64n - 1n
const EPOCH_BITS = 24n
const PLACE_BITS = 32n

/** @throws TroupeError `malformed` */
export function vuidOf({ vid, index, epoch }: VuidParts): Vuid {
  requireBetween('vid', vid, 1, VID_MAX)
  requireBetween('index', index, 0, INDEX_MAX)
  requireBetween('epoch', epoch, 1, EPOCH_MAX)
  return (BigInt(vid) << PLACE_BITS) | (BigInt(index) << EPOCH_BITS) | BigInt(epoch)
}

function requireBetween(what: keyof VuidParts, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return
  throw new TroupeError(
    'malformed',
    `the ${what} of a volume unit is ${min} to ${max}, not ${value}`,
  )
}

export function vuidParts(vuid: Vuid): VuidParts {
  return {
    vid: Number(vuid >> PLACE_BITS),
    index: Number((vuid >> EPOCH_BITS) & BigInt(INDEX_MAX)),
    epoch: Number(vuid & BigInt(EPOCH_MAX)),
  }
}

/** Whether both stand, or stood, for the same place of the same volume. */
export function isSamePlace(a: Vuid, b: Vuid): boolean {
  return a >> EPOCH_BITS === b >> EPOCH_BITS
}

/** The next chunk of the same place. @throws TroupeError `limit-exceeded` */
export function nextEpoch(vuid: Vuid): Vuid {
  const { vid, index, epoch } = vuidParts(vuid)
  if (epoch < EPOCH_MAX) return vuid + 1n
  const what = `unit ${index} of volume ${vid} has had ${EPOCH_MAX} chunks, and takes no more`
  throw new TroupeError('limit-exceeded', `${what}: move its blobs to another volume`)
}

/** What JSON, paths and our own messages carry: a number of which no digit is lost, or its digits. */
const wholeNumber = z
  .union([
    z.bigint(),
    z.int().min(0),
    z.string().regex(/^\d{1,20}$/),
    z.object({ $bigint: z.string().regex(/^\d{1,20}$/) }),
  ])
  .transform((given): bigint => BigInt(typeof given === 'object' ? given.$bigint : given))

/** A vuid as it comes from outside. */
export const vuidSchema = wholeNumber.refine(isVuid, {
  error: 'a vuid is vid(32) | index(8) | epoch(24), vid and epoch at least 1, with all its digits',
})

function isVuid(value: bigint): boolean {
  const { vid, epoch } = vuidParts(value)
  return vid >= 1 && vid <= VID_MAX && epoch >= 1
}

/** A blob id as it comes from outside. */
export const bidSchema = wholeNumber.refine((value) => value >= 1n && value <= BID_MAX, {
  error: 'a bid is 1 to 18446744073709551615, with all its digits',
})
