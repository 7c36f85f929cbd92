/**
 * Randomness of the operating system.
 *
 * Decides: that entropy is drawn in blocks, since one draw costs more than the id made of it; used
 * bytes are wiped, so that a heap dump does not show the tokens that were handed out.
 */
import { randomFillSync } from 'node:crypto'
import type { Random } from '../../ports/index.ts'

/** 16 bytes are 22 characters of base64url without padding. */
const ID_BYTES = 16
const FRACTION_BYTES = 8
const BLOCK_BYTES = 16 * 512

export class SystemRandom implements Random {
  private readonly block = Buffer.allocUnsafeSlow(BLOCK_BYTES)
  private used = BLOCK_BYTES

  fraction(): number {
    const at = this.take(FRACTION_BYTES)
    // 53 bits: all that a double below 1 can hold evenly.
    const high = this.block.readUInt32LE(at) >>> 5
    const low = this.block.readUInt32LE(at + 4) >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }

  id(): string {
    const at = this.take(ID_BYTES)
    const id = this.block.toString('base64url', at, at + ID_BYTES)
    this.block.fill(0, at, at + ID_BYTES)
    return id
  }

  private take(bytes: number): number {
    if (this.used + bytes > BLOCK_BYTES) {
      randomFillSync(this.block)
      this.used = 0
    }
    const at = this.used
    this.used += bytes
    return at
  }
}
