/**
 * What a store takes on disk. Decides: pages in use by the tree of rows, not the size of the file,
 * which also holds pages that LMDB will use again.
 */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { dedupeRangeBefore, TABLE, tableRange } from '../src/shard/keys.ts'
import { openBare } from './recorded.ts'

export interface DiskUse {
  pageBytes: number
  fileBytes: number
  rows: number
  rememberedRows: number
}

interface TreeStats {
  pageSize: number
  treeBranchPageCount: number
  treeLeafPageCount: number
  overflowPages: number
  entryCount: number
}

/** Of a store that no node has open. */
export async function diskUse(directory: string, shards: number): Promise<DiskUse> {
  const { root, rows } = openBare(directory)
  const stats = rows.getStats() as TreeStats
  const pages = stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages
  let rememberedRows = 0
  for (let shard = 0; shard < shards; shard++) {
    const { from } = dedupeRangeBefore(shard, 0)
    const { to } = tableRange(shard, TABLE.dedupe)
    rememberedRows += rows.getKeysCount({ start: from, end: to })
  }
  await root.close()
  return {
    pageBytes: pages * stats.pageSize,
    fileBytes: statSync(join(directory, 'data.mdb')).size,
    rows: stats.entryCount,
    rememberedRows,
  }
}
