/**
 * What balancing needs of the other rooms, and how its tasks come by it. Decides: that the tasks of a node work
 * with what the node opened for its configuration. Leaves to others: opening it.
 */
import { configOf, type TaskAttempt, TroupeError } from '../../../../src/index.ts'
import type { Disks, DiskTable } from '../../plane/disks/index.ts'
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

const opened = new WeakMap<object, BalancePorts>()

/** Of a node, by its section of the configuration: that is what a task has of its node's app. */
export function openBalance(config: object, ports: BalancePorts): void {
  opened.set(config, ports)
}

/** @throws TroupeError `unavailable` while the node is starting */
export function portsOf(attempt: TaskAttempt<unknown>): BalancePorts {
  const ports = opened.get(configOf<object>(attempt))
  if (ports !== undefined) return ports
  throw new TroupeError('unavailable', 'the node has not opened its store yet')
}
