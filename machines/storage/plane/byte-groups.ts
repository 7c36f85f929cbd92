/**
 * Cuts what comes one by one into groups, in its order. Decides: that a group has one at least, and more only as
 * they fit. Leaves to others: what the bounds are for. Pure.
 */
export interface GroupBounds<T> {
  bytesOf: (one: T) => number
  bytesMax: number
  countMax?: number
  /** Whether it may be in a group with the first one of it; default: always. */
  isAlike?: (first: T, one: T) => boolean
}

export function* byteGroups<T>(
  all: Iterable<T>,
  { bytesOf, bytesMax, countMax = Number.POSITIVE_INFINITY, isAlike = () => true }: GroupBounds<T>,
): Generator<T[], void, undefined> {
  let group: T[] = []
  let bytes = 0
  for (const one of all) {
    const [first] = group
    const fits =
      first === undefined ||
      (bytes + bytesOf(one) <= bytesMax && group.length < countMax && isAlike(first, one))
    if (!fits) {
      yield group
      group = []
      bytes = 0
    }
    group.push(one)
    bytes += bytesOf(one)
  }
  if (group.length > 0) yield group
}
