/** Cuts what is to be copied into pieces, in the order of bids. Pure. */
import type { ShardTable } from './shard-table.ts'

/** Rows of a table. */
export type Tasklet = readonly number[]

/** Those that are still to do; each piece has at least one, and more only as they fit. */
export function* taskletsOf(
  table: ShardTable,
  { bytesMax, rowsMax }: { bytesMax: number; rowsMax: number },
): Generator<Tasklet, void, undefined> {
  let rows: number[] = []
  let bytes = 0
  for (let at = 0; at < table.length; at += 1) {
    if (table.state(at) !== 'todo') continue
    const size = table.size(at)
    if (rows.length > 0 && (bytes + size > bytesMax || rows.length >= rowsMax)) {
      yield rows
      rows = []
      bytes = 0
    }
    rows.push(at)
    bytes += size
  }
  if (rows.length > 0) yield rows
}
