/**
 * Text as programs written in Go print it, for the old forms of our listings. Decides: durations and the
 * table writer with the settings of the old tool (least width 2, padding 2, left). Pure.
 */

const NS_OF_US = 1_000n
const NS_OF_MS = 1_000_000n
const NS_OF_SECOND = 1_000_000_000n
const NS_OF_MINUTE = 60n * NS_OF_SECOND
const NS_OF_HOUR = 60n * NS_OF_MINUTE

/** `2.756922465s`, `13m42s`, `1h0m0s`, `1.5ms`. */
export function goDuration(nanoseconds: bigint): string {
  if (nanoseconds < 0n) return `-${goDuration(-nanoseconds)}`
  if (nanoseconds === 0n) return '0s'
  if (nanoseconds < NS_OF_US) return `${nanoseconds}ns`
  if (nanoseconds < NS_OF_MS) return `${decimal(nanoseconds, NS_OF_US)}µs`
  if (nanoseconds < NS_OF_SECOND) return `${decimal(nanoseconds, NS_OF_MS)}ms`
  const hours = nanoseconds / NS_OF_HOUR
  const minutes = (nanoseconds % NS_OF_HOUR) / NS_OF_MINUTE
  const seconds = `${decimal(nanoseconds % NS_OF_MINUTE, NS_OF_SECOND)}s`
  if (hours > 0n) return `${hours}h${minutes}m${seconds}`
  return minutes > 0n ? `${minutes}m${seconds}` : seconds
}

/** Of a span in ms; what is below a ms is kept. */
export function goDurationOfMs(spanMs: number): string {
  return goDuration(BigInt(Math.round(spanMs * 1e6)))
}

function decimal(value: bigint, unit: bigint): string {
  const digits = unit.toString().length - 1
  const fraction = (value % unit).toString().padStart(digits, '0').replace(/0+$/, '')
  return fraction === '' ? `${value / unit}` : `${value / unit}.${fraction}`
}

const WIDTH_MIN = 2
const PADDING = 2

/** Rows with their headings first; nothing follows the last cell of a row. */
export function goTable(rows: readonly (readonly string[])[]): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length - 1))
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(WIDTH_MIN, PADDING + Math.max(...rows.map((row) => charsOf(row[column] ?? '')))),
  )
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - charsOf(cell)),
      )
      .join(''),
  )
}

function charsOf(text: string): number {
  return [...text].length
}
