/**
 * Where UTF-8 may be cut. Pure.
 *
 * Decides: the units of a stream of bytes, as WHATWG's decoder sees them: a character, or the longest
 * beginning of one that is broken off (which becomes one U+FFFD). Text cut between units decodes to the
 * same as the whole. Leaves to others: reading bytes.
 *
 * A unit begins at every byte that is not a continuation (10xxxxxx), whatever precedes it; so looking
 * three bytes back is always enough.
 */

/** The longest character has four bytes. */
export const CHARACTER_BYTES_MAX = 4

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** Text of whole units; every broken one becomes U+FFFD. A byte order mark is kept. */
export function decodeUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes)
}

/** Bytes at the end that are the beginning of a character, and may become one: 0 to 3. */
export function openTail(bytes: Uint8Array): number {
  for (let length = 1; length < CHARACTER_BYTES_MAX && length <= bytes.length; length++) {
    const start = bytes.length - length
    if (isContinuation(bytes[start]!)) continue
    const wanted = characterBytes(bytes[start]!)
    return unitBytes(bytes, start) === length && length < wanted ? length : 0
  }
  return 0
}

/**
 * How many bytes from `at` on belong to a unit that began before it: 0 to 3. `open` when that unit
 * reaches the end of `bytes` and could still become a character.
 */
export function overhang(bytes: Uint8Array, at: number): { bytes: number; open: boolean } {
  const none = { bytes: 0, open: false }
  for (let back = 1; back < CHARACTER_BYTES_MAX && back <= at; back++) {
    const start = at - back
    if (isContinuation(bytes[start]!)) continue
    const length = unitBytes(bytes, start)
    if (length <= back) return none
    const open = start + length === bytes.length && length < characterBytes(bytes[start]!)
    return { bytes: length - back, open }
  }
  return none
}

function isContinuation(byte: number): boolean {
  return (byte & 0xc0) === 0x80
}

/** The bytes of a character that begins so; 1 for what cannot begin one of several. */
function characterBytes(lead: number): number {
  if (lead >= 0xc2 && lead <= 0xdf) return 2
  if (lead >= 0xe0 && lead <= 0xef) return 3
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 1
}

/** The bytes of the unit that begins at `start`, as far as they are there. */
function unitBytes(bytes: Uint8Array, start: number): number {
  const lead = bytes[start]!
  const wanted = characterBytes(lead)
  let length = 1
  while (length < wanted && start + length < bytes.length) {
    if (!follows(lead, length, bytes[start + length]!)) break
    length++
  }
  return length
}

/** Excludes overlong forms, surrogates and what lies beyond U+10FFFF, which the second byte tells. */
function follows(lead: number, position: number, byte: number): boolean {
  if (!isContinuation(byte)) return false
  if (position > 1) return true
  if (lead === 0xe0) return byte >= 0xa0
  if (lead === 0xed) return byte <= 0x9f
  if (lead === 0xf0) return byte >= 0x90
  return lead !== 0xf4 || byte <= 0x8f
}
