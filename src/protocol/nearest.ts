/** Which known name a mistyped one probably means. Pure. */

/** The known name that a mistyped one probably means; undefined when none is close. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  // Two changes at least: letters that changed places are two.
  const most = name.length < 4 ? 1 : Math.max(2, Math.floor(name.length / 3))
  let best: { one: string; distance: number } | undefined
  for (const one of known) {
    const distance = editDistance(name.toLowerCase().slice(0, 64), one.toLowerCase())
    if (distance <= most && (!best || distance < best.distance)) best = { one, distance }
  }
  return best?.one
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, swap))
    }
    row = next
  }
  return row[b.length] ?? 0
}
