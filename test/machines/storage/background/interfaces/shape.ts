/**
 * The shape of a JSON value: its keys, and of each the type. Of a list, that of all that is in it. What the
 * examples of the old store show is so compared with what this one answers.
 */
export type Shape = string | { [key: string]: Shape } | Shape[]

export function shapeOf(value: unknown): Shape {
  if (value === null) return 'null'
  if (typeof value === 'bigint') return 'number'
  if (Array.isArray(value)) return [...new Map(value.map((one) => keyed(shapeOf(one)))).values()]
  if (typeof value !== 'object') return typeof value
  const entries = Object.entries(value).map(([key, one]) => [key, shapeOf(one)] as const)
  return Object.fromEntries(entries.sort(([a], [b]) => a.localeCompare(b)))
}

function keyed(shape: Shape): [string, Shape] {
  return [JSON.stringify(shape), shape]
}

/** The numbers in a window as it is printed: `[0 0 12]`. */
export function numbersIn(text: string): number[] {
  if (!/^\[[^[\]]+\]$/.test(text)) throw new Error(`${text} is no window`)
  return text.slice(1, -1).split(' ').map(Number)
}
