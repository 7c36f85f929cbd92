/**
 * Where things lie in a local store and in an attached one. Decides: the names, which are those that
 * workers of today use. Leaves to others: the files. Pure.
 */
import { join } from 'node:path'
import { type SectorId, sectorName } from '../venus/index.ts'

/** The folders below `data` that hold what belongs to a sector. */
export const SECTOR_FOLDERS = [
  'prepared',
  'cache',
  'sealed',
  'unsealed',
  'update',
  'update-cache',
] as const
export const OUTPUTS_FOLDER = 'outputs'
export const STEPS_FOLDER = 'steps'
export const DATA_FOLDERS = [...SECTOR_FOLDERS, OUTPUTS_FOLDER, STEPS_FOLDER] as const

/** Absolute paths of what a sector may have in a store. */
export interface SectorPaths {
  /** Tree D and what else is made before sealing. */
  prepared: string
  /** The pieces, one after the other. */
  staged: string
  sealed: string
  cache: string
  update: string
  updateCache: string
}

/** `part` sets apart what must not overwrite the sector's own: a second staging of the same sector. */
export function sectorPaths(root: string, sector: SectorId, part = ''): SectorPaths {
  const name = sectorName(sector)
  return {
    prepared: join(root, 'prepared', `${name}${part}`),
    staged: join(root, 'unsealed', `${name}${part}`),
    sealed: join(root, 'sealed', name),
    cache: join(root, 'cache', name),
    update: join(root, 'update', name),
    updateCache: join(root, 'update-cache', name),
  }
}

/** Layers and the trees of labels and data: many times the sector, of use while it is sealed only. */
const SEALING_ONLY = /(^|[-_.])(layer|tree-?[cd])([-_.]|\d|$)/i

/** What a cut write left. */
const UNFINISHED = /\.(draft|part)$/

/** Whether a file of a cache is kept for ever, for proofs of later days. */
export function isKeptCacheFile(name: string): boolean {
  return !name.startsWith('.') && !UNFINISHED.test(name) && !SEALING_ONLY.test(name)
}
