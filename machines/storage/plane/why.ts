/** Reasons, as they are told and as records keep them. Decides: how much of one is kept; a record is no log. */
const CHARS_MAX = 300

export function clippedWhy(why: string): string {
  return why.length > CHARS_MAX ? `${why.slice(0, CHARS_MAX - 1)}…` : why
}

export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown)
}

export function whyOf(thrown: unknown): string {
  return clippedWhy(messageOf(thrown))
}
