/** SHA-256 of node:crypto in the form that is fastest for 32-byte nodes. Decides nothing else. */
import { hash } from 'node:crypto'

export const NODE_BYTES = 32

/** Writes the digest of `input` to `at` of `output`. A text of bytes costs a third of a Buffer. */
export function sha256Into(input: Uint8Array, output: Buffer, at: number): void {
  output.write(hash('sha256', input, 'binary'), at, NODE_BYTES, 'latin1')
}

export function sha256(...parts: readonly Uint8Array[]): Buffer {
  const digest = Buffer.alloc(NODE_BYTES)
  sha256Into(parts.length === 1 ? parts[0]! : Buffer.concat(parts), digest, 0)
  return digest
}

export function xor(left: Uint8Array, right: Uint8Array): Buffer {
  const out = Buffer.alloc(left.length)
  for (let at = 0; at < out.length; at++) out[at] = left[at]! ^ right[at]!
  return out
}
