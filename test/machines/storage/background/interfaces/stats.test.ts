/** What `/stats` says: key for key and type for type as the example of the old scheduler. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  allStats,
  type Figures,
  type MoveFigures,
  ownStats,
} from '../../../../../machines/storage/background/interfaces/stats.ts'
import { numbersIn, shapeOf } from './shape.ts'

const seed = JSON.parse(readFileSync(join(import.meta.dirname, 'seed/stats.json'), 'utf8'))

const series = (n: number) => Array.from({ length: 20 }, (_, at) => at * n)
const move = (n: number): MoveFigures => ({
  ...{ preparing: n, workerDoing: n + 1, finishing: n + 2, inHand: 7, workQueueSize: 20 },
  perMinute: { finished: series(n), shards: series(2 * n), bytes: series(1024) },
  why: null,
})
const messages = { success: series(1), failed: series(0), errors: { total: 0, lines: null } }
const figures: Figures = {
  isOn: {
    ...{ balance: true, disk_repair: false, disk_drop: true, blob_delete: true },
    ...{ shard_repair: false, volume_inspect: true },
  },
  moves: {
    ...{ manual_migrate: move(1), disk_repair: move(2), disk_drop: move(3), balance: move(4) },
  },
  disks: {
    disk_drop: [
      { diskId: 7, total: 10, done: 4 },
      { diskId: 9, total: 5, done: 1 },
    ],
    disk_repair: [],
  },
  inspect: { finished: series(3), timedOut: series(0) },
  messages: { shard_repair: messages, blob_delete: messages },
}

it('has the keys and types of the old scheduler, and no others', () => {
  expect(shapeOf(allStats(figures, false))).toEqual(shapeOf(seed))
})

it('tells on a node that does not lead of repairs and deletions only', () => {
  const { shard_repair, blob_delete } = seed
  expect(shapeOf(ownStats(figures, false))).toEqual(shapeOf({ shard_repair, blob_delete }))
})

it('says what is on, in hand and done', () => {
  const stats = allStats(figures, false)
  expect(stats).toMatchObject({
    disk_drop: {
      ...{ enable: true, dropping_disk_id: 7, total_tasks_cnt: 15, dropped_tasks_cnt: 5 },
      ...{ preparing_cnt: 3, worker_doing_cnt: 4, finishing_cnt: 5 },
    },
    disk_repair: { enable: false, repairing_disk_id: 0, total_tasks_cnt: 0 },
  })
  expect(stats.manual_migrate).not.toHaveProperty('enable')
  expect(numbersIn(stats.balance.stats_per_min.finished_cnt)).toEqual(series(4))
  expect(stats.balance.stats_per_min.data_amount_byte).toMatch(
    /^\[0\.000B 1\.000KB .* 19\.000KB\]$/,
  )
})

it('has arrays of numbers and all disks beside them for whoever asks for more', () => {
  const stats = allStats(figures, true)
  expect(stats).toMatchObject({
    balance: { stats_per_min: { finished_cnt_series: series(4) }, in_hand_cnt: 7, why: null },
    disk_drop: { dropping_disks: [7, 9] },
    disk_repair: { repairing_disks: [] },
    volume_inspect: { finished_per_min_series: series(3) },
    blob_delete: { success_per_min_series: series(1) },
  })
})

it('tells errors by their share, or null', () => {
  const lines = ['disk is broken: 66.67%[2]', 'timeout: 33.33%[1]']
  const failing = { ...messages, errors: { total: 3, lines } }
  const stats = ownStats(
    { ...figures, messages: { ...figures.messages, blob_delete: failing } },
    false,
  )
  expect(stats.blob_delete).toMatchObject({ total_err_cnt: 3, err_stats: lines })
  expect(stats.shard_repair.err_stats).toBeNull()
})
