/**
 * Which versions of machines a shard needs. Decides: a shard needs every machine in the newest version
 * that any of its owners had, since that may have written actors of it; whoever does not know them does
 * not take the shard. Leaves to others: who takes it instead (seating.ts), when nobody is waited for any
 * more (hosting.ts), and what becomes of a single actor that cannot be read (heads.ts in shard/).
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

/** The same one when none of the machines is needed. */
export function without(needs: Versions, machines: ReadonlySet<string>): Versions {
  const isNone = [...needs.keys()].every((machine) => !machines.has(machine))
  return isNone ? needs : new Map([...needs].filter(([machine]) => !machines.has(machine)))
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
