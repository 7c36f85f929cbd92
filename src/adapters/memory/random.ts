/**
 * Randomness that a seed decides: the same seed, the same run. Not for anything that must not be
 * guessed. Decides: sfc32, seeded through a 32-bit string hash and warmed up.
 */
import type { Random } from '../../ports/index.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ID_CHARACTERS = 22
const WARM_UP_DRAWS = 15

export class SeededRandom implements Random {
  private a: number
  private b: number
  private c: number
  private d = 1

  constructor(seed: number | string) {
    const text = String(seed)
    this.a = hash(text, 0x9e3779b9)
    this.b = hash(text, 0x243f6a88)
    this.c = hash(text, 0xb7e15162)
    for (let i = 0; i < WARM_UP_DRAWS; i++) this.draw()
  }

  fraction(): number {
    const high = this.draw() >>> 5
    const low = this.draw() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }

  id(): string {
    let id = ''
    let bits = 0
    for (let i = 0; i < ID_CHARACTERS; i++) {
      // Five characters of 6 bits out of each draw.
      if (i % 5 === 0) bits = this.draw()
      id += ALPHABET[bits & 63]
      bits >>>= 6
    }
    return id
  }

  /** A generator of its own, so that one party's draws do not shift another's. */
  fork(name: string): SeededRandom {
    return new SeededRandom(`${this.id()}/${name}`)
  }

  private draw(): number {
    const sum = (((this.a + this.b) | 0) + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (this.c << 21) | (this.c >>> 11)
    this.c = (this.c + sum) | 0
    return sum >>> 0
  }
}

/** FNV-1a with a final mix. */
function hash(text: string, start: number): number {
  let h = start ^ 0x811c9dc5
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193)
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}
