/**
 * What balancing needs of the other rooms, and how its tasks come by it. Decides: that the tasks of a node work
 * with what the node opened for its configuration. Leaves to others: opening it.
 */
import type { Disks, DiskTable } from '../../plane/disks/index.ts'
import { NodePorts } from '../../plane/node-ports.ts'
import type { VolumeCalls, VolumeViews } from '../../plane/volumes/index.ts'
import type { Moves } from '../moves/index.ts'
import type { BalanceConfig } from './config.ts'

export interface BalancePorts {
  disks: Pick<Disks, 'record'>
  table: Pick<DiskTable, 'all'>
  views: Pick<VolumeViews, 'record'>
  calls: Pick<VolumeCalls, 'allocUnit' | 'releaseUnit'>
  moves: Pick<Moves, 'add'>
  limits: BalanceConfig
  /** In [0, 1). */
  random: () => number
}

const ports = new NodePorts<BalancePorts>()

export const openBalance = ports.open.bind(ports)
export const portsOf = ports.of.bind(ports)
