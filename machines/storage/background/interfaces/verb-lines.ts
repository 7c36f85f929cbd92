/** Words of the verbs of background tasks. Decides: how progress, windows and waits look in lines. */
import { ageText } from '../../plane/verb-text.ts'

const BAR_CHARS = 24

/** `[########................]  33%`; of nothing, all is done. */
export function barText(done: number, of: number): string {
  const part = of <= 0 ? 1 : Math.min(1, Math.max(0, done / of))
  const full = Math.floor(part * BAR_CHARS)
  const bar = '#'.repeat(full) + '.'.repeat(BAR_CHARS - full)
  return `[${bar}] ${String(Math.floor(part * 100)).padStart(3)}%`
}

/** All minutes of a window. */
export function sumOf(series: readonly number[]): number {
  return series.reduce((sum, one) => sum + one, 0)
}

/** Why it waits, and for how long. */
export function waitText(why: string | null, until: number | null, now: number): string {
  if (why === null) return ''
  if (until === null) return why
  return `${why}; again ${until <= now ? 'now' : `in ${ageText(until - now)}`}`
}
