/** P7 and P3: what was acknowledged is there, and nothing is there twice. */

export function acknowledgedIsThere(
  acknowledged: readonly string[],
  found: readonly string[],
): string[] {
  const there = new Set(found)
  return acknowledged
    .filter((ref) => !there.has(ref))
    .map((ref) => `${ref} was acknowledged and is gone`)
}

export function nothingTwice(found: readonly string[]): string[] {
  const seen = new Set<string>()
  const twice = new Set<string>()
  for (const ref of found) {
    if (seen.has(ref)) twice.add(ref)
    seen.add(ref)
  }
  return [...twice].map((ref) => `${ref} was applied more than once`)
}
