/**
 * The data directory of a node of a cluster. Decides: that it belongs to one node of one cluster for ever,
 * how it proves to be the same one as before (an id that is made with it), and when the directory of a
 * node that ran alone becomes one (in one commit; before that it can be started alone again, after that
 * never). Leaves to others: whether the cluster knows that id (joining.ts), how what it has is brought
 * into the cluster (publishing.ts).
 */
import { openersOf } from '../adapters/lmdb/index.ts'
import type { Random, Store, StoreWrite } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import { nodeKey } from '../shard/index.ts'
import {
  type DataDirectory,
  type DataFormat,
  makeMember,
  openStore,
  partsOf,
  requireCluster,
  restoredFrom,
  storedFormat,
  storePath,
  write,
  writeFormat,
} from './data.ts'
import type { Agreed } from './joining.ts'
import { withReader } from './store-care.ts'

const ID_KEY = nodeKey('id')

export interface MemberData {
  readonly store: Store
  /** Made with the directory, so that another directory under the same name is noticed. */
  readonly id: string
  /** As it was when the directory was made; undefined for a new one. */
  readonly shardCount: number | undefined
  /** What it has from when its node ran alone, while the cluster does not have all of it. */
  readonly legacy: Legacy | undefined
  /** Whose data its cluster began with, as far as it began with any. */
  readonly founder: string | undefined
  /** Once the cluster has agreed: from now on the directory is this node's. */
  settle(agreed: Agreed): Promise<DataDirectory>
}

export interface Legacy {
  readonly shardCount: number
  /** Of the attempt that is under way for good: the directory is a member's already. */
  readonly publication: string | undefined
  /** Makes it a member's. @throws TroupeError `conflict` when another process has opened it since */
  commit(publication: string, rows: readonly StoreWrite[]): Promise<void>
  /** The cluster has all of it. */
  finish(): Promise<void>
}

/** @throws TroupeError `store-failed`, `invalid-config`, `conflict` */
export async function openMemberData(
  directory: string,
  { name, cluster }: { name: string; cluster: string },
  random: Random,
): Promise<MemberData> {
  await requireNobodyAlone(directory)
  const store = openStore(directory)
  try {
    return await memberDataIn(store, directory, { name, cluster }, random)
  } catch (thrown) {
    await store.close()
    throw thrown
  }
}

/** What a store that is open has for the node. @throws TroupeError `store-failed`, `invalid-config` */
export async function memberDataIn(
  store: Store,
  directory: string,
  { name, cluster }: { name: string; cluster: string },
  random: Random,
): Promise<MemberData> {
  const format = storedFormat(store, directory)
  if (format) requireMine(format, store, directory, { name, cluster })
  const id = await idOf(store, random)
  const legacy = format && legacyOf(format, store, { name, id })
  const settle = async (agreed: Agreed) => {
    if (!format) await writeFormat(store, { ...agreed, cluster, member: name })
    return { store, shardCount: agreed.shardCount, directoryOf: partsOf(directory) }
  }
  const { shardCount, founder } = format ?? {}
  return { store, id, shardCount, founder, legacy, settle }
}

/**
 * To open it would end whoever has it open now. A node that runs alone must not end so, for good; where a
 * member runs is known by its name.
 * @throws TroupeError `conflict`
 */
async function requireNobodyAlone(directory: string): Promise<void> {
  const openers = await openersOf(storePath(directory))
  const others = openers.filter((pid) => pid !== process.pid)
  if (others.length === 0) return
  const { member } = await withReader(directory, async (_store, format) => format)
  if (member !== undefined) return
  const why = `${directory} is open in the process ${others.join(', ')}: stop that one first, and then start this one again, which brings its data into the cluster`
  throw new TroupeError('conflict', why)
}

function requireMine(
  format: DataFormat,
  store: Store,
  directory: string,
  { name, cluster }: { name: string; cluster: string },
): void {
  requireCluster(format, cluster, directory)
  if (format.member === undefined) return
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

function legacyOf(
  { shardCount, cluster, member, publication }: DataFormat,
  store: Store,
  { name, id: founder }: { name: string; id: string },
): Legacy | undefined {
  if (member !== undefined && publication === undefined) return undefined
  const format = { shardCount, cluster, member: name, founder }
  return {
    shardCount,
    publication,
    commit: (id, rows) => makeMember(store, { ...format, publication: id }, rows),
    finish: () => writeFormat(store, format),
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
