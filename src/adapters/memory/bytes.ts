/**
 * Bytes as map keys. Decides: one character per byte, so that JavaScript's order of strings is the
 * bytewise order and a `Map` finds a key by value.
 */
export function textOf(bytes: Uint8Array): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return buffer.toString('latin1')
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

/** A copy that shares nothing with its origin; of a text its UTF-8. */
export function copyOf(bytes: Uint8Array | string): Uint8Array {
  return typeof bytes === 'string' ? Buffer.from(bytes) : Buffer.from(bytes)
}
