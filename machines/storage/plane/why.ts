/** Reasons in records. Decides: how much of one is kept; a record is no log. */
const CHARS_MAX = 300

export function clippedWhy(why: string): string {
  return why.length > CHARS_MAX ? `${why.slice(0, CHARS_MAX - 1)}…` : why
}

export function whyOf(thrown: unknown): string {
  return clippedWhy(thrown instanceof Error ? thrown.message : String(thrown))
}
