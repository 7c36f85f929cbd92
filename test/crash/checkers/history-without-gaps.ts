/** Every turn of an actor stands in its history, in order, each going on where the last one ended. */

export interface HistoryEntry {
  turn: number
  at: number
  cause: string
  from: string | null
  to: string
}

/** @param history the newest first, as the API gives it */
export function historyWithoutGaps(
  address: string,
  turn: number,
  history: readonly HistoryEntry[],
): string[] {
  const found: string[] = []
  const oldestFirst = [...history].reverse()
  if (oldestFirst.at(-1)?.turn !== turn) {
    found.push(`${address} is at turn ${turn}, its history ends at ${oldestFirst.at(-1)?.turn}`)
  }
  oldestFirst.forEach((entry, index) => {
    const before = oldestFirst[index - 1]
    if (!before) return
    if (entry.turn !== before.turn + 1)
      found.push(`${address}: turn ${entry.turn} follows ${before.turn}`)
    if (entry.from !== before.to)
      found.push(
        `${address}: turn ${entry.turn} begins in ${entry.from}, turn ${before.turn} ended in ${before.to}`,
      )
    if (entry.at < before.at)
      found.push(`${address}: turn ${entry.turn} is older than turn ${before.turn}`)
  })
  return found
}
