/**
 * Randomness of a simulated world. Decides: xoshiro128** seeded by SplitMix32, and that a fork
 * depends on the seed and its name alone: a draw added in one concern shifts no other.
 */
import type { Random } from '../../src/ports/index.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
const ID_CHARACTERS = 22

export class SimRandom implements Random {
  readonly #path: string
  #a: number
  #b: number
  #c: number
  #d: number

  constructor(path: string | number) {
    this.#path = String(path)
    let state = 0x811c9dc5
    for (let i = 0; i < this.#path.length; i++) {
      state = Math.imul(state ^ this.#path.charCodeAt(i), 0x01000193)
    }
    const next = () => {
      state = (state + 0x9e3779b9) | 0
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
      return (mixed ^ (mixed >>> 15)) | 0
    }
    this.#a = next()
    this.#b = next()
    this.#c = next()
    this.#d = next() | 1
  }

  /** A generator of its own for one concern. */
  fork(name: string): SimRandom {
    return new SimRandom(`${this.#path}/${name}`)
  }

  fraction(): number {
    return this.#draw() / 2 ** 32
  }

  /** A whole number in `from..to`, both included. */
  between(from: number, to: number): number {
    return from + Math.floor(this.fraction() * (to - from + 1))
  }

  chance(probability: number): boolean {
    return probability > 0 && this.fraction() < probability
  }

  pick<T>(list: readonly T[]): T {
    const item = list[Math.floor(this.fraction() * list.length)]
    if (item === undefined) throw new Error('nothing to pick from')
    return item
  }

  /** Waits as they come from a memoryless source. */
  exponential(mean: number): number {
    return -Math.log(1 - this.fraction()) * mean
  }

  id(): string {
    let id = ''
    let bits = 0
    for (let i = 0; i < ID_CHARACTERS; i++) {
      if (i % 5 === 0) bits = this.#draw()
      id += ALPHABET[bits & 63]
      bits >>>= 6
    }
    return id
  }

  #draw(): number {
    const times5 = Math.imul(this.#b, 5)
    const result = Math.imul((times5 << 7) | (times5 >>> 25), 9)
    const t = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= t
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result >>> 0
  }
}
