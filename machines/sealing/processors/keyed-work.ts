/**
 * Which sectors' files somebody works on. Decides: that a request counts until its worker has let go of
 * it, not until its caller has. Leaves to others: what a key is (a store of a sector).
 */
export class KeyedWork {
  readonly #counts = new Map<string, number>()
  readonly #waiting = new Map<string, (() => void)[]>()

  /** @returns to be called once, when the work is over */
  begin(key: string): () => void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    return () => this.#end(key)
  }

  /** Resolves when nobody works on it, at once if so now. */
  quiet(key: string): Promise<void> {
    if (!this.#counts.has(key)) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), resolve])
    })
  }

  #end(key: string): void {
    const left = (this.#counts.get(key) ?? 0) - 1
    if (left > 0) {
      this.#counts.set(key, left)
      return
    }
    this.#counts.delete(key)
    const waiting = this.#waiting.get(key) ?? []
    this.#waiting.delete(key)
    for (const resolve of waiting) resolve()
  }
}
