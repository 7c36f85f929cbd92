/**
 * Piece commitments as CIDs, the form in which every other program of this family writes them. Decides:
 * which CIDs stand for a commitment; others pass as they are. Pure.
 */

/** CIDv1, codec fil-commitment-unsealed, multihash sha2-256-trunc254-padded of 32 bytes. */
const PREFIX = Buffer.from('0181e203922020', 'hex')
const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const HEX = /^[0-9a-f]{64}$/
const BITS_OF_BYTE = 8
const BITS_OF_DIGIT = 5

/** Of the hex of 32 bytes; any other text is taken for a CID already. */
export function cidOfCommitment(commitment: string): string {
  if (!HEX.test(commitment)) return commitment
  return `b${base32Of(Buffer.concat([PREFIX, Buffer.from(commitment, 'hex')]))}`
}

/** Hex, if it is the CID of a piece commitment; otherwise the text as it is. */
export function commitmentOfCid(cid: string): string {
  if (!/^b[a-z2-7]{60,70}$/.test(cid)) return cid
  const bytes = bytesOf(cid.slice(1))
  const isCommitment = bytes.length === PREFIX.length + 32 && bytes.indexOf(PREFIX) === 0
  return isCommitment ? bytes.subarray(PREFIX.length).toString('hex') : cid
}

function base32Of(bytes: Uint8Array): string {
  let text = ''
  let held = 0
  let bits = 0
  for (const byte of bytes) {
    held = (held << BITS_OF_BYTE) | byte
    bits += BITS_OF_BYTE
    while (bits >= BITS_OF_DIGIT) {
      bits -= BITS_OF_DIGIT
      text += ALPHABET[held >> bits]
      held &= (1 << bits) - 1
    }
  }
  return bits === 0 ? text : text + ALPHABET[held << (BITS_OF_DIGIT - bits)]
}

function bytesOf(text: string): Buffer {
  const bytes: number[] = []
  let held = 0
  let bits = 0
  for (const digit of text) {
    held = (held << BITS_OF_DIGIT) | ALPHABET.indexOf(digit)
    bits += BITS_OF_DIGIT
    if (bits < BITS_OF_BYTE) continue
    bits -= BITS_OF_BYTE
    bytes.push(held >> bits)
    held &= (1 << bits) - 1
  }
  return Buffer.from(bytes)
}
