/**
 * What volumes need of the blobnodes, and how their tasks come by it. Decides: that the tasks of a node work
 * with what the node opened for its configuration. Leaves to others: opening and closing it (`parts.ts`).
 */
import type { Disks, DiskTable } from '../disks/index.ts'
import { NodePorts } from '../node-ports.ts'

/** Where a chunk lies. */
export interface UnitPlace {
  address: string
  diskId: number
  vuid: bigint
}

/** Chunks on blobnodes. @throws StorageRefusal as a blobnode answers; TroupeError where nobody does */
export interface ChunkCalls {
  createChunk(at: UnitPlace, bytesMax: number): Promise<unknown>
  setChunk(at: UnitPlace, mode: 'readonly' | 'readwrite'): Promise<unknown>
  releaseChunk(at: UnitPlace, force?: boolean): Promise<unknown>
  statChunk(
    at: UnitPlace,
  ): Promise<{ status: 'normal' | 'readonly' | 'release'; usedBytes: number }>
}

export interface VolumePorts {
  disks: Disks
  table: DiskTable
  chunks: ChunkCalls
}

const ports = new NodePorts<VolumePorts>()

export const openVolumes = ports.open.bind(ports)
export const portsOf = ports.of.bind(ports)
