/**
 * What emptying disks needs of the other rooms, and how its tasks come by it. Decides: that the tasks of a node
 * work with what the node opened for its configuration. Leaves to others: opening it.
 */
import type { Disks, DiskTable } from '../../plane/disks/index.ts'
import { NodePorts } from '../../plane/node-ports.ts'
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

const ports = new NodePorts<DiskJobPorts>()

export const openDiskJobs = ports.open.bind(ports)
export const portsOf = ports.of.bind(ports)
