/**
 * Background tasks among the figures of a node. Decides: their names, and that the node that leads tells of
 * all of it, so that a sum over nodes is right. Leaves to others: where the figures come from (`figures.ts`).
 */
import type { AppContext, AppMetric } from '../../../../src/index.ts'
import { SWITCH_NAMES } from '../../switches/index.ts'
import { JOB_KINDS } from '../disk-jobs/index.ts'
import type { LaneView } from '../lanes/index.ts'
import { MOVE_TYPES } from '../moves/index.ts'
import { disksOf, type FigureSources, inspectOf, lanesOf } from './figures.ts'

type Rows = Awaited<ReturnType<AppMetric['collect']>>

type Sources = FigureSources & Pick<AppContext, 'leader' | 'node'>

export function backgroundMetrics(sources: Sources): AppMetric[] {
  const { leader, node } = sources
  return [...moveMetrics(sources), ...otherMetrics(sources)].map(
    ({ help, collect, ...metric }) => ({
      ...{ ...metric, help: `${help}; told by the node that leads` },
      collect: async () => (leader.name() === node ? collect() : []),
    }),
  )
}

function moveMetrics(sources: Sources): AppMetric[] {
  const metric = (
    name: string,
    help: string,
    label: string | undefined,
    valuesOf: (lane: LaneView) => Record<string, number>,
  ): AppMetric => ({
    ...{ name, help, labels: label === undefined ? ['type'] : ['type', label] },
    collect: async () => {
      const lanes = await lanesOf(sources)
      return MOVE_TYPES.flatMap((type) =>
        Object.entries(valuesOf(lanes[type])).map(([key, value]) => ({
          ...{ labels: { type, ...(label === undefined ? {} : { [label]: key }) }, value },
        })),
      )
    },
  })
  return [
    metric(
      'storage_moves',
      'tasks that move units, by type and by how far they are',
      'stage',
      ({ preparing, workerDoing: worker_doing, finishing, inHand: in_hand }) => ({
        ...{ preparing, worker_doing, finishing, in_hand },
      }),
    ),
    metric(
      'storage_moves_ended_total',
      'tasks that have ended, by type and end',
      'end',
      ({ totals: { finished, finishedInAdvance: finished_in_advance } }) => ({
        ...{ finished, finished_in_advance },
      }),
    ),
    metric(
      'storage_moves_shards_total',
      'shards that were copied or made up',
      undefined,
      ({ totals: { shards } }) => ({ shards }),
    ),
    metric(
      'storage_moves_bytes_total',
      'bytes that were copied or made up',
      undefined,
      ({ totals: { bytes } }) => ({ bytes }),
    ),
  ]
}

function otherMetrics(sources: Sources): AppMetric[] {
  return [
    {
      name: 'storage_disk_units',
      help: 'units of a disk that is dropped or repaired: those that were there, and those that have left it',
      labels: ['type', 'disk', 'kind'],
      collect: () => diskRows(sources),
    },
    {
      name: 'storage_inspections_total',
      help: 'volumes that were inspected, and inspections that were not answered in time',
      labels: ['outcome'],
      collect: async () => {
        const { finished, timedOut } = (await inspectOf(sources)).totals
        return [
          { labels: { outcome: 'finished' }, value: finished },
          { labels: { outcome: 'timed_out' }, value: timedOut },
        ]
      },
    },
    {
      name: 'storage_switch',
      help: '1: the background task is switched on',
      labels: ['name'],
      collect: async () => {
        const values = await sources.switches.all()
        return SWITCH_NAMES.map((name) => ({ labels: { name }, value: Number(values[name]) }))
      },
    },
  ]
}

async function diskRows(sources: Sources): Promise<Rows> {
  const kinds = JOB_KINDS.map(async (type) =>
    (await disksOf(sources, type)).flatMap(({ diskId, total, done }) => {
      const disk = String(diskId)
      return [
        { labels: { type, disk, kind: 'total' }, value: total },
        { labels: { type, disk, kind: 'done' }, value: done },
      ]
    }),
  )
  return (await Promise.all(kinds)).flat()
}
