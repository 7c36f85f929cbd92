/**
 * Everything on the simulated chain that looks drawn by lot. Decides: that it is SHA-256 of the chain's
 * own seed and of what it is for, so that it can be told again at any time, on any node. Pure.
 */
import { createHash } from 'node:crypto'

const DRAW_BYTES = 6

/** 32 bytes. A chain seed is no secret: whoever simulates may know what comes. */
export function randomness(chainSeed: string, ...purpose: (string | number)[]): Buffer {
  return createHash('sha256')
    .update(JSON.stringify([chainSeed, ...purpose]))
    .digest()
}

/** In [0, 1). */
export function draw(chainSeed: string, ...purpose: (string | number)[]): number {
  return randomness(chainSeed, ...purpose).readUIntBE(0, DRAW_BYTES) / 2 ** (8 * DRAW_BYTES)
}

/** SHA-256 of a value as JSON, whatever the order of its fields. */
export function digestOf(value: unknown): Buffer {
  return createHash('sha256')
    .update(JSON.stringify(value, sorted) ?? '')
    .digest()
}

function sorted(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value)
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)))
}
