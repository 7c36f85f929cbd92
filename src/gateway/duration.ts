/** How durations are written in URLs, in small bodies and on the command line. Pure. */

const DURATION = /^(\d{1,12})(ms|s|m|h|d)?$/
const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `90s`, `10m`, `2h`, `1d`; a bare number is milliseconds. Undefined for what is none. */
export function parseDurationMs(text: string): number | undefined {
  const [, count, unit] = DURATION.exec(text) ?? []
  if (count === undefined) return undefined
  return Number(count) * UNIT_MS[(unit ?? 'ms') as keyof typeof UNIT_MS]
}

export function notADuration(text: string): string {
  return `must be a duration such as 500ms, 90s, 10m, 2h or 1d, not "${text.slice(0, 40)}"`
}
