/**
 * The machine `disk`: one disk of a blobnode, and the ledger of the units that lie on it. Decides: its
 * states and by what lists find it. Leaves to others: what its events change and answer (`disk-rules.ts`),
 * the files (`disk-files`).
 *
 * ```
 * normal.writable ◄─► normal.readonly ──DROP──► normal.dropping ──DROPPED, no units──► dropped
 *        └───────── SET 2, or its blobnode says so ────────┴──► broken ──► repairing ──► repaired
 * ```
 *
 * That it is heard is written down when it changes, and else only now and then (`heartbeats.ts`): the
 * node that hears its blobnode says when it is silent, and where that node is gone, too, a timer does.
 */
import { cancel, setup } from 'xstate'
import { defineMachine, formatAddress, reply, tell } from '../../../../src/index.ts'
import { DISK_WATCH, type DiskNews, newsOf } from './disk-news.ts'
import {
  type DiskAnswer,
  type DiskEvent,
  type DiskInput,
  type DiskRecord,
  type DiskStanding,
  diskEvents,
  diskInput,
  newDisk,
  unitPlaces,
} from './disk-record.ts'
import { decide } from './disk-rules.ts'

/** Enough to see how it came to where it stands; usage is told now and then. */
const HISTORY_COUNT = 50
const SILENCE = 'silence'

const chart = setup({
  types: {
    context: {} as DiskRecord,
    events: {} as DiskEvent,
    input: {} as DiskInput,
  },
  actions: {
    answer: reply((_, { answer }: { answer: DiskAnswer }) => answer),
    tellNews: tell((_, { news }: { news: DiskNews }) => ({
      to: DISK_WATCH,
      event: { type: 'DISK_CHANGED', ...news },
    })),
  },
  guards: {
    stands: ({ context }, { as }: { as: DiskStanding }) => context.standing === as,
  },
})

const act = chart.enqueueActions(({ context, event, enqueue }) => {
  const { next, answer, isHeardNow } = decide(context, event)
  enqueue.assign(next)
  if (isHeardNow) {
    enqueue(cancel(SILENCE))
    enqueue.raise({ type: 'SILENT' }, { id: SILENCE, delay: next.quietMs })
  }
  const news = newsOf(context, next)
  if (news) enqueue({ type: 'tellNews', params: { news } })
  enqueue({ type: 'answer', params: { answer } })
})

const listen = chart.enqueueActions(({ context, enqueue }) => {
  enqueue.raise({ type: 'SILENT' }, { id: SILENCE, delay: context.quietMs })
})

/** To where the record says that it stands: these are all the ways there are. */
const to = (standing: DiskStanding, target: string) => ({
  guard: { type: 'stands' as const, params: { as: standing } },
  target,
})

const BROKEN = to('broken', '#disk.broken')

const machine = chart.createMachine({
  id: 'disk',
  context: ({ input }) => newDisk(input),
  entry: listen,
  initial: 'normal',
  on: Object.fromEntries(
    [...Object.keys(diskEvents), 'SILENT'].map((type) => [type, { actions: act }]),
  ) as Record<DiskEvent['type'], { actions: typeof act }>,
  states: {
    normal: {
      initial: 'writable',
      states: {
        writable: { always: [to('readonly', 'readonly'), BROKEN] },
        readonly: { always: [to('writable', 'writable'), to('dropping', 'dropping'), BROKEN] },
        dropping: { always: [to('dropped', '#disk.dropped'), BROKEN] },
      },
    },
    broken: { always: to('repairing', 'repairing') },
    repairing: { always: to('repaired', 'repaired') },
    repaired: {},
    dropped: {},
  },
})

export const disk = defineMachine({
  machine,
  input: diskInput,
  internal: ['SILENT'],
  events: diskEvents,
  index: (record) => ({
    uuid: record.uuid,
    host: record.host,
    rack: record.rack,
    idc: record.idc,
    address: record.address,
    path: record.path,
    standing: record.standing,
    isHeard: record.isHeard,
    via: record.via,
    sizeBytes: record.sizeBytes,
    freeBytes: record.freeBytes,
    usedBytes: record.usedBytes,
    units: Object.keys(record.units).length,
    chunks: record.chunks,
    chunksMax: unitPlaces(record),
    why: record.why,
  }),
  retention: { historyCount: HISTORY_COUNT },
})

export function diskAddress(diskId: number): string {
  return formatAddress('disk', String(diskId))
}
