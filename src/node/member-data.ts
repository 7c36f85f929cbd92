/**
 * The data directory of a node of a cluster. Decides: that it belongs to one node of one cluster for ever,
 * and how it proves to be the same one as before (an id that is made with it). Leaves to others: whether
 * the cluster knows that id (joining.ts).
 *
 * What an embedded node has written is in no journal: in a cluster its actors would be unknown to all
 * other nodes, so such a directory is refused.
 */
import type { Random, Store } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { nodeKey } from '../shard/index.ts'
import {
  type DataDirectory,
  type DataFormat,
  openStore,
  partsOf,
  requireCluster,
  restoredFrom,
  storedFormat,
  write,
  writeFormat,
} from './data.ts'

const ID_KEY = nodeKey('id')

export interface MemberData {
  readonly store: Store
  /** Made with the directory, so that another directory under the same name is noticed. */
  readonly id: string
  /** As it was when the directory was made; undefined for a new one. */
  readonly shardCount: number | undefined
  /** Once the cluster has agreed: from now on the directory is this node's. */
  settle(shardCount: number): Promise<DataDirectory>
}

/** @throws TroupeError `store-failed`, `invalid-config` */
export async function openMemberData(
  directory: string,
  { name, cluster }: { name: string; cluster: string },
  random: Random,
): Promise<MemberData> {
  const store = openStore(directory)
  try {
    const format = storedFormat(store, directory)
    if (format) requireMember(format, store, directory, { name, cluster })
    const id = await idOf(store, random)
    const settle = async (shardCount: number) => {
      if (!format) await writeFormat(store, { shardCount, cluster, member: name })
      return { store, shardCount, directoryOf: partsOf(directory) }
    }
    return { store, id, shardCount: format?.shardCount, settle }
  } catch (thrown) {
    await store.close()
    throw thrown
  }
}

function requireMember(
  format: DataFormat,
  store: Store,
  directory: string,
  { name, cluster }: { name: string; cluster: string },
): void {
  if (format.member === undefined) {
    throw refusal(
      `${directory} was written by a node that runs alone, and no other node could see its actors: give this node an empty directory (--data), and start the old one without --nats to finish or move what it has`,
    )
  }
  requireCluster(format, cluster, directory)
  if (format.member !== name) {
    throw refusal(
      `${directory} belongs to the node ${format.member}, not ${name}: start it under that name, or name another directory`,
    )
  }
  if (restoredFrom(store)) {
    throw refusal(
      `${directory} came out of a backup, and the cluster has gone on since: give this node an empty directory, and it fetches what the others have`,
    )
  }
}

/** On disk before anybody hears of it. */
async function idOf(store: Store, random: Random): Promise<string> {
  const known = store.get(ID_KEY)
  if (known) return Buffer.from(known).toString()
  const id = random.id()
  await write(store, [[ID_KEY, Buffer.from(id)]])
  return id
}

function refusal(why: string): TroupeError {
  return new TroupeError('invalid-config', why)
}
