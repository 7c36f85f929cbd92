/** How many bytes of bodies are held at a time, whoever sends or reads them. */
import { refusal } from '../codes/index.ts'

export class ByteBudget {
  readonly #bytesMax: number
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  get bytes(): number {
    return this.#bytes
  }

  /** @returns what gives them back @throws StorageRefusal 604 */
  take(bytes: number): () => void {
    // One that is larger than all of it could else never come.
    if (this.#bytes > 0 && this.#bytes + bytes > this.#bytesMax) {
      const why = `${this.#bytes} bytes are on their way through this blobnode: try again later`
      throw refusal(604, why)
    }
    this.#bytes += bytes
    let isBack = false
    return () => {
      if (isBack) return
      isBack = true
      this.#bytes -= bytes
    }
  }
}
