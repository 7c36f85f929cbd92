/** Decides: that so many things are under way at a time, and that the first failure ends what is not begun. */
export async function inParallel<T>(
  items: Iterable<T>,
  countMax: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]()
  let hasFailed = false
  const worker = async () => {
    for (let next = rest.next(); !next.done && !hasFailed; next = rest.next()) {
      try {
        await work(next.value)
      } catch (thrown) {
        hasFailed = true
        throw thrown
      }
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: countMax }, worker))
  for (const one of ended) if (one.status === 'rejected') throw one.reason
}
