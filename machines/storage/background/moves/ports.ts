/**
 * What moves need of the other rooms, and how their tasks come by it. Decides: that the tasks of a node work
 * with what the node opened for its configuration. Leaves to others: opening it.
 */
import type { Client } from '../../../../src/index.ts'
import type { DiskTable } from '../../plane/disks/index.ts'
import { NodePorts } from '../../plane/node-ports.ts'
import type { Upkeep } from '../../plane/upkeep/index.ts'
import type { UnitPlace, VolumeCalls, VolumeViews } from '../../plane/volumes/index.ts'

interface IoOptions {
  signal?: AbortSignal
  io?: 'migrate'
}

/** Of blobnodes. @throws TroupeError: the blobnode's refusal, or `unavailable` */
export interface MoveShards {
  listShards(
    at: UnitPlace,
    page: { from: bigint; status: number; count: number },
    options?: IoOptions,
  ): Promise<{ shards: readonly { bid: bigint; flag: 1 | 2 }[]; next: bigint }>
  markDelete(at: UnitPlace, bid: bigint, options?: IoOptions): Promise<void>
  deleteShard(at: UnitPlace, bid: bigint, options?: IoOptions): Promise<void>
}

/** Each is durable when it resolves. */
export type MoveUpkeep = Pick<Upkeep, 'repair' | 'remove'>

export interface MovePorts {
  calls: Pick<VolumeCalls, 'lock' | 'allocUnit' | 'updateUnit' | 'releaseUnit'>
  views: Pick<VolumeViews, 'record'>
  table: Pick<DiskTable, 'all'>
  shards: MoveShards
  upkeep: MoveUpkeep
  /** The queue of workers of an idc is there when it resolves. */
  openQueue(client: Client, idc: string): Promise<void>
}

const ports = new NodePorts<MovePorts>()

export const openMoves = ports.open.bind(ports)
export const portsOf = ports.of.bind(ports)
