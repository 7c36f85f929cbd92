/** The statuses of a disk: each step that is allowed, each that is not, and that the chart goes no other way. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { initialTransition, transition } from 'xstate'
import { vuidOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { disk } from '../../../../../machines/storage/plane/disks/disk.ts'
import {
  type DiskEvent,
  type DiskRecord,
  type DiskStanding,
  newDisk,
  STANDINGS,
  statusOf,
  unitPlaces,
  unitsAllowed,
} from '../../../../../machines/storage/plane/disks/disk-record.ts'
import { decide, FREE_BYTES_MIN } from '../../../../../machines/storage/plane/disks/disk-rules.ts'

const USAGE = { sizeBytes: 2 ** 40, freeBytes: 2 ** 39, usedBytes: 0, chunks: 0, chunksMax: 2 }
const UUID = '00000000-0000-4000-8000-000000000007'
const PLACE = { uuid: UUID, address: 'http://b:1', host: 'h', rack: 'r', idc: 'z', path: '/d' }
const HEARING = { at: 5, via: 'n1', quietMs: 300_000 }
const INPUT = { diskId: 7, unitsMax: 3, ...PLACE, ...USAGE, ...HEARING }
const FRESH = newDisk(INPUT)
const beat = (more: object = {}): DiskEvent => ({
  ...{ type: 'HEARTBEAT', uuid: UUID, broken: null, ...USAGE, ...HEARING, ...more },
})
const vuid = (vid: number) => vuidOf({ vid, index: 0, epoch: 1 })
const reserve = (vid: number): DiskEvent => ({
  ...{ type: 'RESERVE', vuid: vuid(vid), bytesMax: 2 ** 30, at: 9 },
})
const standing = (as: DiskStanding, more: Partial<DiskRecord> = {}) => ({
  ...{ ...FRESH, standing: as, ...more },
})
const set = (status: number): DiskEvent => ({ type: 'SET', status })
const readonly = (is: boolean): DiskEvent => ({ type: 'READONLY', readonly: is })

/** What each word makes of each standing: a standing, or the number of the refusal. */
const TABLE: [string, DiskEvent, (DiskStanding | number)[]][] = [
  // writable, readonly, dropping, broken, repairing, repaired, dropped
  ['set 1', set(1), ['writable', 'readonly', 932, 913, 913, 913, 913]],
  ['set 2', set(2), ['broken', 'broken', 932, 'broken', 913, 913, 913]],
  ['set 3', set(3), [912, 912, 932, 'repairing', 'repairing', 913, 913]],
  ['set 4', set(4), [912, 912, 932, 912, 'repaired', 'repaired', 913]],
  ['set 5', set(5), [912, 912, 932, 912, 912, 912, 912]],
  ['set 0', set(0), [912, 912, 932, 912, 912, 912, 912]],
  ['readonly', readonly(true), ['readonly', 'readonly', 932, 912, 912, 912, 912]],
  ['readwrite', readonly(false), ['writable', 'writable', 932, 912, 912, 912, 912]],
  ['drop', { type: 'DROP' }, [926, 'dropping', 'dropping', 926, 926, 926, 926]],
  ['dropped', { type: 'DROPPED' }, [912, 912, 'dropped', 912, 912, 912, 'dropped']],
  ['reserve', reserve(1), ['writable', 615, 615, 613, 613, 613, 613]],
  [
    'its word that it is broken',
    beat({ broken: 'EIO' }),
    ['broken', 'broken', 'broken', 'broken', 'repairing', 'repaired', 'dropped'],
  ],
]

describe.each(TABLE)('%s', (_name, event, outcomes) => {
  it.each(STANDINGS.map((from, at) => [from, outcomes[at]] as const))('%s: %s', (from, outcome) => {
    const now = standing(from)
    const { next, answer } = decide(now, event)
    if (typeof outcome === 'number') {
      expect(answer).toMatchObject({ refused: outcome, message: expect.stringContaining('disk 7') })
      expect(next).toEqual(now)
    } else {
      expect(answer).toMatchObject({ status: statusOf(outcome ?? from) })
      expect(next.standing).toBe(outcome)
    }
  })
})

describe('the ledger', () => {
  const with1 = decide(FRESH, reserve(1)).next

  it('promises room once to each unit, up to what the disk takes', () => {
    expect(decide(with1, reserve(1)).next).toEqual(with1)
    const with2 = decide(with1, reserve(2)).next
    expect(Object.keys(with2.units)).toEqual([vuid(1), vuid(2)].map(String))
    expect(decide(with2, reserve(3)).answer).toMatchObject({ refused: 632 })
    // What was promised is promised, whatever became of the disk.
    expect(decide({ ...with2, standing: 'broken' }, reserve(2)).answer).toEqual({
      status: 2,
      readonly: false,
    })
  })

  it('promises nothing of a disk that is full', () => {
    const full = { ...FRESH, freeBytes: FREE_BYTES_MIN - 1 }
    expect(decide(full, reserve(1)).answer).toMatchObject({ refused: 615 })
  })

  it('keeps a disk from being dropped, and is freed as often as one likes', () => {
    const dropping = { ...with1, standing: 'dropping' as const }
    expect(decide(dropping, { type: 'DROPPED' }).answer).toMatchObject({
      refused: 930,
      message: 'disk 7 still holds 1 unit',
    })
    const free: DiskEvent = { type: 'FREE', vuid: vuid(1) }
    const freed = decide(dropping, free).next
    expect(decide(freed, free).next).toEqual(freed)
    expect(decide(freed, { type: 'DROPPED' }).next.standing).toBe('dropped')
  })
})

describe('a registration', () => {
  const again = (more: object = {}): DiskEvent => ({
    ...{ type: 'REGISTER', unitsMax: 3, ...PLACE, ...USAGE, ...HEARING, ...more },
  })

  it('of the same disk after a restart is welcome, wherever its blobnode listens now', () => {
    const { next } = decide(standing('broken'), again({ address: 'http://b:2' }))
    expect(next).toMatchObject({ address: 'http://b:2', standing: 'broken', isHeard: true })
  })

  it.each([{ host: 'other' }, { path: '/other' }])(
    '%o is refused while the first is heard',
    (more) => {
      expect(decide(FRESH, again(more)).answer).toMatchObject({ refused: 925 })
      const silent = decide(FRESH, { type: 'LOST', via: 'n1' }).next
      expect(decide(silent, again(more)).next).toMatchObject({ ...more, isHeard: true })
    },
  )

  it('of another directory under its id is refused, silent or not, as is its heartbeat', () => {
    const uuid = '00000000-0000-4000-8000-00000000000e'
    const silent = decide(FRESH, { type: 'LOST', via: 'n1' }).next
    for (const now of [FRESH, silent]) {
      for (const event of [again({ uuid }), beat({ uuid, broken: 'EIO' })]) {
        const { next, answer } = decide(now, event)
        expect(answer).toMatchObject({ refused: 925, message: expect.stringContaining(uuid) })
        expect(next).toEqual(now)
      }
    }
  })

  it('changes how many units it may hold; what it holds stays', () => {
    const ledger = (...vids: number[]) =>
      vids.reduce((now, vid) => decide(now, reserve(vid)).next, FRESH)
    const two = ledger(1, 2)
    expect(decide(two, reserve(3)).answer).toMatchObject({ refused: 632 })
    const more = decide(two, again({ unitsMax: 9, chunksMax: 3 })).next
    expect(unitsAllowed(more)).toBe(3)
    expect(decide(more, reserve(3)).answer).toEqual({ status: 1, readonly: false })
    const fewer = decide(two, again({ unitsMax: 1 })).next
    expect(Object.keys(fewer.units)).toHaveLength(2)
    expect([unitsAllowed(fewer), unitPlaces(fewer)]).toEqual([1, 2])
    // Also where one has left: it is at its limit then.
    const left = decide(fewer, { type: 'FREE', vuid: vuid(1) }).next
    expect(decide(left, reserve(3)).answer).toMatchObject({
      ...{ refused: 632, message: 'disk 7 holds 1 units of at most 1' },
    })
  })

  it.each(['repaired', 'dropped'] as const)('of one that is %s needs a new id', (as) => {
    expect(decide(standing(as), again()).answer).toMatchObject({ refused: 925 })
  })
})

it('only the node that hears a disk can say that it is silent; a timer can, too', () => {
  expect(decide(FRESH, { type: 'LOST', via: 'n2' }).next.isHeard).toBe(true)
  expect(decide(FRESH, { type: 'LOST', via: 'n1' }).next.isHeard).toBe(false)
  const silent = decide(FRESH, { type: 'SILENT' }).next
  expect(silent.isHeard).toBe(false)
  expect(decide(silent, beat({ via: 'n2' })).next).toMatchObject({ isHeard: true, via: 'n2' })
})

const PLACES: Record<DiskStanding, unknown> = {
  writable: { normal: 'writable' },
  readonly: { normal: 'readonly' },
  dropping: { normal: 'dropping' },
  broken: 'broken',
  repairing: 'repairing',
  repaired: 'repaired',
  dropped: 'dropped',
}

const anyEvent = fc.oneof(
  fc.constantFrom(...TABLE.map(([, event]) => event)),
  fc.constantFrom<DiskEvent>(reserve(2), beat(), { type: 'FREE', vuid: vuid(1) }),
)

it('the chart stands where the record says, along every path', () => {
  const reached = new Set<DiskStanding>()
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 30 }), (events) => {
      const machine = disk.machine
      let [snapshot] = initialTransition(machine, INPUT as never)
      for (const event of events) {
        const before = snapshot.context as DiskRecord
        ;[snapshot] = transition(machine, snapshot, event as never)
        const now = snapshot.context as DiskRecord
        expect(snapshot.value).toEqual(PLACES[now.standing])
        expect(statusOf(now.standing)).toBeGreaterThanOrEqual(statusOf(before.standing))
        if (now.standing === 'dropped') expect(now.units).toEqual({})
        reached.add(now.standing)
      }
    }),
    {
      numRuns: 500,
      examples: [
        [[readonly(true), { type: 'DROP' }, { type: 'DROPPED' }]],
        [[set(2), set(3), set(4)]],
      ],
    },
  )
  expect(reached.size).toBe(STANDINGS.length)
})
