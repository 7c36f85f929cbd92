/**
 * Fingerprints of bytes and of texts. Of bytes, for chains of records: 64 bits, made of two runs of MurmurHash3 (32 bits).
 *
 * It tells records apart that differ by accident, as after a lost end of a journal; it is no
 * protection against somebody who wants two records to look alike.
 */

export function hashBytes(bytes: Uint8Array): string {
  const { buffer, byteOffset, length } = bytes
  const words = new DataView(buffer, byteOffset, length)
  const blocks = length & ~3
  let first = 0x9747b28c
  let second = 0x3c6ef372
  for (let at = 0; at < blocks; at += 4) {
    // The same for both runs: only what it is mixed into differs.
    const mixed = scramble(words.getInt32(at, true))
    first = advance(first ^ mixed)
    second = advance(second ^ mixed)
  }
  let rest = 0
  for (let at = length - 1; at >= blocks; at--) rest = (rest << 8) | (bytes[at] ?? 0)
  const last = (blocks < length ? scramble(rest) : 0) ^ length
  return hex(finish(first ^ last)) + hex(finish(second ^ last))
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0')
}

function advance(hash: number): number {
  return (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
}

function scramble(value: number): number {
  const mixed = Math.imul(value, 0xcc9e2d51)
  return Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593)
}

function finish(value: number): number {
  let hash = value
  hash ^= hash >>> 16
  hash = Math.imul(hash, 0x85ebca6b)
  hash ^= hash >>> 13
  hash = Math.imul(hash, 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** 53 bits of a text (cyrb53): a name or a fingerprint, no secret. Part of formats on disk. */
export function hashText(text: string): number {
  let high = 0xdeadbeef
  let low = 0x41c6ce57
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    high = Math.imul(high ^ code, 2654435761)
    low = Math.imul(low ^ code, 1597334677)
  }
  high = Math.imul(high ^ (high >>> 16), 2246822507) ^ Math.imul(low ^ (low >>> 13), 3266489909)
  low = Math.imul(low ^ (low >>> 16), 2246822507) ^ Math.imul(high ^ (high >>> 13), 3266489909)
  return 4294967296 * (2097151 & low) + (high >>> 0)
}
