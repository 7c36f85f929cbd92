/**
 * How far long work is, on standard error. Decides: how a bar looks, how often it is drawn, and that
 * nobody but a person at a terminal sees one.
 */
import { verbClock } from './clock.ts'
import type { Terminal } from './terminal.ts'

const DRAWN_EVERY_MS = 100
const BAR_CHARS = 24
const WIDTH_DEFAULT = 80
const CLEAR_LINE = '\r\u001b[K'

export class ProgressBar {
  readonly #terminal: Terminal
  readonly #isShown: boolean
  #drawnAt = Number.NEGATIVE_INFINITY
  #step = ''
  #isDrawn = false

  /** @param isWanted false under `--json` */
  constructor(terminal: Terminal, isWanted: boolean) {
    this.#terminal = terminal
    this.#isShown = isWanted && terminal.isErrorTty && terminal.env['TERM'] !== 'dumb'
  }

  readonly update = (step: string, done: number, of: number): void => {
    if (!this.#isShown) return
    const now = verbClock.monotonic()
    if (step === this.#step && now - this.#drawnAt < DRAWN_EVERY_MS) return
    this.#step = step
    this.#drawnAt = now
    this.#isDrawn = true
    const width = (this.#terminal.columns ?? WIDTH_DEFAULT) - 1
    this.#terminal.writeError(CLEAR_LINE + barOf(step, done, of).slice(0, width))
  }

  /** Takes it away. */
  end(): void {
    if (this.#isDrawn) this.#terminal.writeError(CLEAR_LINE)
    this.#isDrawn = false
  }
}

function barOf(step: string, done: number, of: number): string {
  const part = of <= 0 ? 1 : Math.min(1, Math.max(0, done / of))
  const full = Math.floor(part * BAR_CHARS)
  const bar = '#'.repeat(full) + '.'.repeat(BAR_CHARS - full)
  return `${step} [${bar}] ${String(Math.floor(part * 100)).padStart(3)}%`
}
