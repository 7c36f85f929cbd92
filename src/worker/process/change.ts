/**
 * Waiting for a file to change: `fs.watch` as a hint, polling as the promise.
 *
 * Decides: that a hint may be missing or wrong and costs at most one look too many. Leaves to others:
 * looking. Used for ends of runs and for growing streams.
 */
import { type FSWatcher, watch } from 'node:fs'

import type { Clock } from '../../ports/index.ts'

export class ChangeHint {
  readonly #clock: Clock
  readonly #paths: readonly string[]
  readonly #pollMs: number
  readonly #watchers = new Map<string, FSWatcher>()
  #wake: (() => void) | undefined
  /** A hint that came while nobody waited; the next wait returns at once. */
  #hinted = false
  #closed = false

  constructor(clock: Clock, paths: readonly string[], pollMs: number) {
    this.#clock = clock
    this.#paths = paths
    this.#pollMs = pollMs
    this.#watch()
  }

  /** Resolves upon a hint, after `pollMs`, or upon `close`. One wait at a time. */
  async wait(): Promise<void> {
    if (this.#closed) return
    // Files that did not exist the last time may be there now.
    this.#watch()
    if (this.#hinted) {
      this.#hinted = false
      return
    }
    await new Promise<void>((resolve) => {
      const cancel = this.#clock.after(this.#pollMs, () => this.#wake?.())
      this.#wake = () => {
        cancel()
        this.#wake = undefined
        this.#hinted = false
        resolve()
      }
    })
  }

  close(): void {
    this.#closed = true
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
    this.#wake?.()
  }

  #hint(): void {
    this.#hinted = true
    this.#wake?.()
  }

  #watch(): void {
    for (const path of this.#paths) {
      if (this.#watchers.has(path)) continue
      try {
        const watcher = watch(path, { persistent: false }, () => this.#hint())
        watcher.on('error', () => watcher.close())
        this.#watchers.set(path, watcher)
      } catch {
        // Missing, or the kernel's watches are used up: polling does it.
      }
    }
  }
}
