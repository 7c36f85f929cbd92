/**
 * Which versions of machines a shard needs. Decides: a shard needs every machine in the newest version
 * that any of its owners had, since that may have written actors of it; whoever does not know them does
 * not take the shard. Leaves to others: who takes it instead (seating.ts), and what becomes of a single
 * actor that cannot be read (heads.ts in shard/).
 */

/** By the name of the machine. */
export type Versions = ReadonlyMap<string, number>

export const NO_VERSIONS: Versions = new Map()

/** A machine that it does not host at all is of a version that it does not know. */
export function knows(has: Versions, needs: Versions): boolean {
  if (has === needs) return true
  for (const [machine, version] of needs) if ((has.get(machine) ?? 0) < version) return false
  return true
}

/** The newest of each; the first itself when the second has nothing newer. */
export function newest(first: Versions, second: Versions): Versions {
  if (knows(first, second)) return first
  const both = new Map(first)
  for (const [machine, version] of second) {
    both.set(machine, Math.max(version, both.get(machine) ?? 0))
  }
  return both
}

/** Without the machines that nobody hosts any more: nobody could serve their actors any better. */
export function stillHosted(needs: Versions, hosted: ReadonlySet<string>): Versions {
  const isAll = [...needs.keys()].every((machine) => hosted.has(machine))
  return isAll ? needs : new Map([...needs].filter(([machine]) => hosted.has(machine)))
}

/** In the order of names, so that the same versions have the same bytes. */
export function versionPairs(versions: Versions): [machine: string, version: number][] {
  return [...versions].sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Undefined for what is no list of pairs. */
export function versionsOf(pairs: unknown): Versions | undefined {
  if (!Array.isArray(pairs)) return undefined
  const versions = new Map<string, number>()
  for (const pair of pairs as unknown[]) {
    const [machine, version] = Array.isArray(pair) ? (pair as unknown[]) : []
    if (typeof machine !== 'string' || !Number.isSafeInteger(version)) return undefined
    versions.set(machine, version as number)
  }
  return versions
}
