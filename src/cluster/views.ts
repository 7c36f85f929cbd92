/**
 * How views reach a node: a watch as a hint, and reading again from time to time.
 *
 * Decides: that only a newer view than all before counts, whatever the registry shows. Leaves to
 * others: who writes it (leader.ts), what follows from it (ownership.ts).
 */
import type { Clock, Log, Registry } from '../ports/index.ts'
import type { ClusterLimits } from './limits.ts'
import { decodeView, type View, type ViewMemory, viewNumber } from './view.ts'

export const VIEW_KEY = 'view'

export interface ViewsDeps {
  clock: Clock
  log: Log
  registry: Registry
  memory: ViewMemory
  limits: ClusterLimits
  shardCount: number
  changed: (view: View) => void
  failed: (why: string) => void
}

export class Views {
  readonly #deps: ViewsDeps
  /** What the registry showed last: a leader sees from it that its own view was written over. */
  #shown: number | undefined
  #isReading = false
  #hasRead = false
  /** Told at the end of a read that begins after they asked. */
  #waiting: (() => void)[] = []
  #watch: { stop(): void } | undefined
  #cancelRead: (() => void) | undefined
  #stopped = false

  constructor(deps: ViewsDeps) {
    this.#deps = deps
  }

  get view(): View | undefined {
    return this.#deps.memory.view
  }

  get number(): number {
    return this.#deps.memory.number
  }

  /** False until the registry was read once: what a store remembers of an earlier life may be long past. */
  get isFresh(): boolean {
    return this.#hasRead
  }

  get shown(): number | undefined {
    return this.#shown
  }

  start(): void {
    this.#watch = this.#deps.registry.watch(VIEW_KEY, () => this.read())
    this.#readOften()
  }

  stop(): void {
    this.#stopped = true
    this.#watch?.stop()
    this.#cancelRead?.()
  }

  /** A view that the registry has had, whatever it shows now. */
  take(view: View): void {
    if (this.#stopped) return
    if (this.#deps.memory.take(view, this.#deps.failed)) this.#deps.changed(view)
  }

  /** Reads once more, from now on; `done` is told when something certain was read. */
  read(done: () => void = () => {}): void {
    if (this.#stopped) return
    this.#waiting.push(done)
    if (!this.#isReading) this.#readNow()
  }

  #readOften(): void {
    const { clock, limits } = this.#deps
    this.#cancelRead = clock.after(limits.viewReadMs, () => this.#readOften())
    this.read()
  }

  #readNow(): void {
    const { registry, clock, limits } = this.#deps
    const waiting = this.#waiting
    this.#waiting = []
    this.#isReading = true
    registry.get(VIEW_KEY, (outcome) => {
      if (this.#stopped) return
      this.#isReading = false
      if (outcome.kind === 'unknown') {
        this.#waiting.push(...waiting)
        clock.after(limits.registryRetryMs, () => this.#again())
        return
      }
      const isFirst = !this.#hasRead
      this.#hasRead = true
      if (outcome.kind === 'found') this.#found(outcome.value)
      else this.#shown = 0
      if (isFirst && this.view) this.#deps.changed(this.view)
      for (const done of waiting) done()
      this.#again()
    })
  }

  #again(): void {
    if (!this.#stopped && !this.#isReading && this.#waiting.length > 0) this.#readNow()
  }

  #found(bytes: Uint8Array): void {
    const view = this.#decode(bytes)
    this.#shown = view ? viewNumber(view) : 0
    if (view) this.take(view)
  }

  #decode(bytes: Uint8Array): View | undefined {
    try {
      return decodeView(bytes, this.#deps.shardCount)
    } catch (thrown) {
      this.#deps.log.error({ err: thrown }, 'the view in the registry cannot be read')
      return undefined
    }
  }
}
