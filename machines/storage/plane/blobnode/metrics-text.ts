/** What Prometheus reads of a blobnode: the figures of its disks, as text. Pure. */
import type { DiskReport } from './served-disk.ts'

type Figure = [
  name: string,
  kind: 'gauge' | 'counter',
  help: string,
  of: (disk: DiskReport) => Row[],
]
type Row = [labels: string, value: number]

const FIGURES: readonly Figure[] = [
  ['disk_up', 'gauge', 'whether a disk is served', ({ state }) => [['', state === 'up' ? 1 : 0]]],
  ['disk_free_bytes', 'gauge', 'room left', ({ usage }) => row(usage?.freeBytes)],
  ['disk_used_bytes', 'gauge', 'bytes of chunks', ({ usage }) => row(usage?.usedBytes)],
  ['disk_chunks', 'gauge', 'chunks', ({ usage }) => row(usage?.chunks)],
  ['puts_total', 'counter', 'shards written', ({ counters }) => row(counters.puts)],
  ['gets_total', 'counter', 'shards read', ({ counters }) => row(counters.gets)],
  ['deletes_total', 'counter', 'shards deleted', ({ counters }) => row(counters.deletes)],
  ['verified_total', 'counter', 'shards inspected', ({ counters }) => row(counters.verified)],
  [
    'corrupt_total',
    'counter',
    'shards that were found not to be what was written',
    ({ counters }) => row(counters.corrupt),
  ],
  [
    'in_bytes_total',
    'counter',
    'bytes of shards written',
    ({ counters }) => row(counters.bytes_in),
  ],
  ['out_bytes_total', 'counter', 'bytes of shards read', ({ counters }) => row(counters.bytes_out)],
  [
    ...(['calls_at_work', 'gauge', 'calls that use a disk now'] as const),
    ({ slots }) => [
      [',io="client"', slots.at_work],
      [',io="background"', slots.background_at_work],
    ],
  ],
  [
    ...(['calls_waiting', 'gauge', 'calls that wait for a disk'] as const),
    ({ slots }) => [
      [',io="client"', slots.waiting],
      [',io="background"', slots.background_waiting],
    ],
  ],
  [
    ...(['refusals_total', 'counter', 'calls that were refused, by the number'] as const),
    ({ counters }) =>
      Object.entries(counters.refusals).map(([status, count]) => [`,status="${status}"`, count]),
  ],
]

export function metricsText(disks: readonly DiskReport[]): string {
  return FIGURES.map(([name, kind, help, of]) => {
    const full = `storage_blobnode_${name}`
    const rows = disks.flatMap((disk) =>
      of(disk).map(([labels, value]) => `${full}{disk="${disk.disk_id}"${labels}} ${value}\n`),
    )
    return `# HELP ${full} ${help}\n# TYPE ${full} ${kind}\n${rows.join('')}`
  }).join('')
}

function row(value: number | undefined): Row[] {
  return value === undefined ? [] : [['', value]]
}
