/** Words of the store's verbs. Decides: how ages and parts look in its tables. */
const AGE_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

/** The largest unit alone tells ages apart. */
export function ageText(spanMs: number): string {
  for (const [unit, unitMs] of AGE_UNITS) {
    if (spanMs >= unitMs) return `${Math.floor(spanMs / unitMs)}${unit}`
  }
  return '0s'
}

export function percentText(part: number, whole: number): string {
  return whole === 0 ? '-' : `${Math.round((100 * part) / whole)}%`
}

/** A name and its value per line, aligned. */
export function factLines(facts: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...facts.map(([name]) => name.length))
  return facts.map(([name, text]) => `  ${name.padEnd(width)}  ${text}`)
}
