/** Cuts what is to be copied into pieces, in the order of bids. Pure. */
import { byteGroups } from '../../plane/byte-groups.ts'
import type { ShardTable } from './shard-table.ts'

/** Rows of a table. */
export type Tasklet = readonly number[]

/** Those that are still to do; each piece has at least one, and more only as they fit. */
export function taskletsOf(
  table: ShardTable,
  { bytesMax, rowsMax }: { bytesMax: number; rowsMax: number },
): Generator<Tasklet, void, undefined> {
  return byteGroups(toDo(table), { bytesOf: (at) => table.size(at), bytesMax, countMax: rowsMax })
}

function* toDo(table: ShardTable): Generator<number, void, undefined> {
  for (let at = 0; at < table.length; at += 1) if (table.state(at) === 'todo') yield at
}
