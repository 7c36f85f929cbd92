/**
 * The long-term stores of a worker: where sealed sectors stay. Decides: their names, which of them can be
 * written to, and that no path leads out of one. Leaves to others: which of them a sector goes to (the
 * manager), and the copying (processors).
 */
import { realpath, statfs } from 'node:fs/promises'
import { isAbsolute, join, relative } from 'node:path'
import { TroupeError } from '../../../src/index.ts'
import type { SectorId } from '../venus/index.ts'
import { type SectorPaths, sectorPaths } from './layout.ts'

export interface AttachedConfig {
  /** Default: its location. */
  name?: string | undefined
  location: string
  readonly?: boolean | undefined
}

export interface AttachedStore {
  name: string
  location: string
  readonly: boolean
}

export class AttachedStores {
  readonly #stores = new Map<string, AttachedStore>()

  /** @throws TroupeError `malformed`, `conflict` */
  constructor(configs: readonly AttachedConfig[]) {
    for (const { location, name = location, readonly = false } of configs) {
      if (!isAbsolute(location)) {
        const why = `the attached store "${location}" is no absolute path: write it from the root`
        throw new TroupeError('malformed', why)
      }
      if (this.#stores.has(name)) {
        const why = `two attached stores are named "${name}": give each a name of its own`
        throw new TroupeError('conflict', why)
      }
      this.#stores.set(name, { name, location, readonly })
    }
  }

  list(): AttachedStore[] {
    return [...this.#stores.values()]
  }

  /** Names of those that sectors may be put into. */
  writable(): string[] {
    return this.list().flatMap(({ name, readonly }) => (readonly ? [] : [name]))
  }

  /** @throws TroupeError `invalid-query` */
  get(name: string): AttachedStore {
    const store = this.#stores.get(name)
    if (store) return store
    const known = [...this.#stores.keys()].join(', ') || 'none'
    const why = `no store "${name.slice(0, 200)}" is attached to this worker (there are: ${known}): attach it in its configuration`
    throw new TroupeError('invalid-query', why)
  }

  /** Where a sector's files are in that store. */
  pathsOf(name: string, sector: SectorId): SectorPaths {
    return sectorPaths(this.get(name).location, sector)
  }

  /** Of a path inside a store. @throws TroupeError `malformed` when it leads out of it */
  resolve(name: string, inner: string): string {
    const { location } = this.get(name)
    const path = join(location, inner)
    if (inner === '' || inner.includes('\0') || !isBelow(location, path)) {
      const why = `"${inner.slice(0, 200)}" is no path inside the store "${name}"`
      throw new TroupeError('malformed', why)
    }
    return path
  }

  /** Free for us, not for the administrator only. @throws when its directory cannot be read */
  async freeBytes(name: string): Promise<number> {
    const { bavail, bsize } = await statfs(await realpath(this.get(name).location))
    return bavail * bsize
  }
}

function isBelow(root: string, path: string): boolean {
  const inner = relative(root, path)
  return inner !== '' && inner !== '..' && !inner.startsWith('../') && !isAbsolute(inner)
}
