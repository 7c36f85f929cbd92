/**
 * Bytes as each side writes them. Decides: that processors get and give lists of numbers (as existing ones
 * do; text is understood as well), the manager base64, and the record hex. Pure.
 */
import { z } from 'zod'
import type { SectorId } from '../venus/index.ts'

const NODE_BYTES = 32

const byteList = z.array(z.int().min(0).max(255))

/** From a processor: 32 bytes. */
export const anyNode = z
  .union([
    byteList.transform((list) => Buffer.from(list)),
    z.hex().transform((text) => Buffer.from(text, 'hex')),
    z.base64().transform((text) => Buffer.from(text, 'base64')),
  ])
  .refine((bytes) => bytes.length === NODE_BYTES, `must be ${NODE_BYTES} bytes`)

/** From a processor: never hex, which could be meant as base64. */
export const proofBytes = z.union([
  byteList.min(1).transform((list) => Buffer.from(list)),
  z
    .base64()
    .min(1)
    .transform((text) => Buffer.from(text, 'base64')),
])

/** For a processor: of hex (record) or base64 (manager). */
export function listOfHex(hex: string): number[] {
  return [...Buffer.from(hex, 'hex')]
}
export function listOfBase64(text: string): number[] {
  return [...Buffer.from(text, 'base64')]
}

/** For the manager. */
export function base64OfHex(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64')
}
export function hexOfBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('hex')
}

/** The payload of the address of a miner (its number, 7 bits a byte), filled up with zeros. */
export function proverId({ Miner }: SectorId): number[] {
  const bytes: number[] = []
  let rest = BigInt(Miner)
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest > 0n ? low | 0x80 : low)
  } while (rest > 0n)
  return [...bytes, ...Array<number>(NODE_BYTES - bytes.length).fill(0)]
}
