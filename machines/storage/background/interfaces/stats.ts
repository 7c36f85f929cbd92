/**
 * What `/stats` says. Decides: the keys and types, as the old scheduler has them, and what stands beside them
 * for whoever asks for more: arrays of numbers, all disks in hand. Leaves to others: where the figures come
 * from (`stats-routes.ts`), windows and how they are printed (`windows`).
 */

import type { SwitchName } from '../../switches/index.ts'
import { printed, printedBytes } from '../../windows/index.ts'
import type { LaneView } from '../lanes/index.ts'
import type { MoveType } from '../moves/index.ts'

/** Twenty numbers, one a minute, the oldest first. */
type Series = readonly number[]

export type MoveFigures = Omit<LaneView, 'isOn' | 'totals'>

export interface DiskFigures {
  diskId: number
  total: number
  done: number
}

export interface MessageFigures {
  success: Series
  failed: Series
  errors: { total: number; lines: readonly string[] | null }
}

interface InspectFigures {
  finished: Series
  timedOut: Series
}

export interface Figures {
  isOn: Readonly<Record<SwitchName, boolean>>
  moves: Readonly<Record<MoveType, MoveFigures>>
  disks: Readonly<Record<'disk_drop' | 'disk_repair', readonly DiskFigures[]>>
  inspect: InspectFigures
  messages: Readonly<Record<'shard_repair' | 'blob_delete', MessageFigures>>
}

/** What a node that does not lead tells. */
export type OwnFigures = Pick<Figures, 'isOn' | 'messages'>

export function ownStats({ isOn, messages }: OwnFigures, isExtended: boolean) {
  const of = (name: 'shard_repair' | 'blob_delete') => {
    const { success, failed, errors } = messages[name]
    return {
      enable: isOn[name],
      success_per_min: printed(success),
      failed_per_min: printed(failed),
      total_err_cnt: errors.total,
      err_stats: errors.lines,
      ...(isExtended ? { success_per_min_series: success, failed_per_min_series: failed } : {}),
    }
  }
  return { shard_repair: of('shard_repair'), blob_delete: of('blob_delete') }
}

export function allStats(figures: Figures, isExtended: boolean) {
  const { isOn, moves, disks, inspect } = figures
  const move = (type: MoveType) => moveStats(moves[type], isExtended)
  const repairing = disks.disk_repair
  const dropping = disks.disk_drop
  return {
    disk_repair: {
      enable: isOn.disk_repair,
      repairing_disk_id: repairing[0]?.diskId ?? 0,
      total_tasks_cnt: sum(repairing, 'total'),
      repaired_tasks_cnt: sum(repairing, 'done'),
      ...move('disk_repair'),
      ...(isExtended ? { repairing_disks: repairing.map(({ diskId }) => diskId) } : {}),
    },
    disk_drop: {
      enable: isOn.disk_drop,
      dropping_disk_id: dropping[0]?.diskId ?? 0,
      total_tasks_cnt: sum(dropping, 'total'),
      dropped_tasks_cnt: sum(dropping, 'done'),
      ...move('disk_drop'),
      ...(isExtended ? { dropping_disks: dropping.map(({ diskId }) => diskId) } : {}),
    },
    balance: { enable: isOn.balance, ...move('balance') },
    // Without a switch: an operator asks for each of them.
    manual_migrate: move('manual_migrate'),
    volume_inspect: {
      enable: isOn.volume_inspect,
      finished_per_min: printed(inspect.finished),
      time_out_per_min: printed(inspect.timedOut),
      ...(isExtended
        ? {
            finished_per_min_series: inspect.finished,
            time_out_per_min_series: inspect.timedOut,
          }
        : {}),
    },
    ...ownStats(figures, isExtended),
  }
}

function moveStats(figures: MoveFigures, isExtended: boolean) {
  const { preparing, workerDoing, finishing, inHand, workQueueSize, perMinute, why } = figures
  const { finished, shards, bytes } = perMinute
  return {
    preparing_cnt: preparing,
    worker_doing_cnt: workerDoing,
    finishing_cnt: finishing,
    stats_per_min: {
      finished_cnt: printed(finished),
      shard_cnt: printed(shards),
      data_amount_byte: printedBytes(bytes),
      ...(isExtended
        ? {
            finished_cnt_series: finished,
            shard_cnt_series: shards,
            data_amount_byte_series: bytes,
          }
        : {}),
    },
    ...(isExtended ? { in_hand_cnt: inHand, work_queue_size: workQueueSize, why } : {}),
  }
}

function sum(disks: readonly DiskFigures[], field: 'total' | 'done'): number {
  return disks.reduce((total, disk) => total + disk[field], 0)
}
