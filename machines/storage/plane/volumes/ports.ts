/**
 * What volumes need of the blobnodes, and how their tasks come by it. Decides: that the tasks of a node work
 * with what the node opened for its configuration. Leaves to others: opening and closing it (`parts.ts`).
 */
import { configOf, type TaskAttempt, TroupeError } from '../../../../src/index.ts'
import type { Disks, DiskTable } from '../disks/index.ts'

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

const opened = new WeakMap<object, VolumePorts>()

/** Of a node, by its section of the configuration: that is what a task has of its node's app. */
export function openVolumes(config: object, ports: VolumePorts): void {
  opened.set(config, ports)
}

/** @throws TroupeError `unavailable` while the node is starting */
export function portsOf(attempt: TaskAttempt<unknown>): VolumePorts {
  const ports = opened.get(configOf<object>(attempt))
  if (ports !== undefined) return ports
  throw new TroupeError('unavailable', 'the node has not opened its store yet')
}
