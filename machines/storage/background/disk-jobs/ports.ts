/**
 * What emptying disks needs of the other rooms, and how its tasks come by it. Decides: that the tasks of a node
 * work with what the node opened for its configuration. Leaves to others: opening it.
 */
import { configOf, type TaskAttempt, TroupeError } from '../../../../src/index.ts'
import type { Disks, DiskTable } from '../../plane/disks/index.ts'
import type { VolumeCalls, VolumeViews } from '../../plane/volumes/index.ts'
import type { Moves } from '../moves/index.ts'
import type { DiskJobsConfig } from './config.ts'

export interface DiskJobPorts {
  disks: Pick<Disks, 'record' | 'set' | 'dropped' | 'free'>
  table: Pick<DiskTable, 'all' | 'forget'>
  views: Pick<VolumeViews, 'record' | 'lastVid'>
  calls: Pick<VolumeCalls, 'releaseUnit'>
  moves: Pick<Moves, 'add'>
  limits: DiskJobsConfig
}

const opened = new WeakMap<object, DiskJobPorts>()

/** Of a node, by its section of the configuration: that is what a task has of its node's app. */
export function openDiskJobs(config: object, ports: DiskJobPorts): void {
  opened.set(config, ports)
}

/** @throws TroupeError `unavailable` while the node is starting */
export function portsOf(attempt: TaskAttempt<unknown>): DiskJobPorts {
  const ports = opened.get(configOf<object>(attempt))
  if (ports !== undefined) return ports
  throw new TroupeError('unavailable', 'the node has not opened its store yet')
}
