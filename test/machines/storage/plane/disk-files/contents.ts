/** Bytes and chances that are the same for the same seed; for the tests and their children. */

export const CHUNK_BYTES = 1_073_741_824
export const VUID = (4_294_967_295n << 32n) | (2n << 24n) | 1n

/** The same for the same seed and length; or the beginning of a content that is as long as `of`. */
export function content(size: number, seed: number, of = size): Buffer {
  const bytes = Buffer.alloc(size)
  let state = (Math.imul(seed, 0x9e37_79b1) + of) >>> 0
  for (let at = 0; at < size; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

export async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncIterable<Buffer> {
  for (let from = 0; from < bytes.length; from += pieceBytes) {
    await new Promise((resolve) => setImmediate(resolve))
    yield bytes.subarray(from, from + pieceBytes)
  }
}

/** From 0 to 1; the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
