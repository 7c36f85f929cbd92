/** What is stored of an actor comes back as it was: a lost field would be a lost timer or task. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { StoredSnapshot } from '../../src/machine/index.ts'
import { errorRecord, pack, type StateValue, unpack } from '../../src/protocol/index.ts'
import { indexValueBytes } from '../../src/shard/index-keys.ts'
import {
  type ActorRecord,
  type ChildEntry,
  decodeActor,
  encodeActor,
  KEPT_TIMER,
  type TaskEntry,
  type TimerEntry,
} from '../../src/shard/records.ts'
import { packables } from '../protocol/arbitraries.ts'

/** As the engine makes them: plain objects. */
function record<T extends object>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>
}

const text = fc.string({ unit: 'grapheme', maxLength: 12 })
const time = fc.integer({ min: 0, max: 2 ** 48 - 1 })
const count = fc.nat()
const event = record({ type: text, payload: packables })

const timers: fc.Arbitrary<TimerEntry> = record({
  id: text,
  effectId: text,
  dueAt: time,
  kind: fc.constantFrom('event', 'lease', 'task-retry', 'purge'),
  to: text,
  event: fc.option(event),
  frozenMs: fc.option(fc.oneof(time, fc.constant(KEPT_TIMER))),
})

const tasks: fc.Arbitrary<TaskEntry> = record({
  effectId: text,
  childId: text,
  src: text,
  name: text,
  queue: text,
  priority: fc.integer(),
  input: packables.map((value) => Uint8Array.from(pack(value))),
  attempt: count,
  token: text,
  worker: text,
  since: time,
  state: fc.constantFrom('queued', 'running', 'waiting', 'interrupted', 'result-kept'),
  notBefore: time,
  lastFailure: text,
  leaseMs: count,
  onWorkerLost: fc.constantFrom('wait', 'rerun', 'park'),
})

const children: fc.Arbitrary<ChildEntry> = record({
  childId: text,
  src: text,
  kind: fc.constantFrom('task', 'machine', 'transition', 'live'),
  sync: fc.boolean(),
  done: fc.boolean(),
  effectId: text,
})

const key = text.filter((name) => name !== '__proto__')
const values: fc.Arbitrary<StateValue> = fc.letrec<{ value: StateValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    text,
    fc.dictionary(key, tie('value'), { maxKeys: 3, noNullPrototype: true }),
  ),
})).value

const records: fc.Arbitrary<ActorRecord> = fc
  .record({
    version: count,
    chartHash: text,
    birth: fc.tuple(count, count).map(([slot, index]) => `${slot}.${index}`),
    turn: count,
    operations: count,
    createdAt: time,
    updatedAt: time,
    since: time,
    status: fc.constantFrom('active' as const, 'done' as const, 'stopped' as const),
    paused: fc.option(
      record({
        since: time,
        by: text,
        reason: text,
        timers: fc.constantFrom('run' as const, 'freeze' as const),
      }),
    ),
    parked: fc.option(
      record({
        since: time,
        error: text.map((message) => errorRecord('parked', message, { address: 'a/b' })),
        cause: text,
        failedChildren: fc.array(text, { maxLength: 3 }),
      }),
    ),
    kept: fc.oneof(
      fc.constant([0, 0] as const),
      fc.tuple(count, fc.integer({ min: 1, max: 1_000 })).map(([from, n]) => [from, from + n]),
    ),
    timers: fc.array(timers, { maxLength: 4 }),
    tasks: fc.array(tasks, { maxLength: 3 }),
    children: fc.array(children, { maxLength: 4 }),
    sources: fc.array(text, { maxLength: 3 }),
    recent: fc.uint8Array({ maxLength: 40 }),
    recentFrom: count,
    index: fc.dictionary(
      key,
      fc.oneof(
        fc.constantFrom(null, true, false),
        fc.integer(),
        // The rows of an index hold -0 as 0, and so does the record.
        fc.double().map((value) => (value === 0 ? 0 : value)),
        text,
      ),
      { maxKeys: 3, noNullPrototype: true },
    ),
  })
  .map(({ kept, ...record }) => ({ ...record, keptFrom: kept[0] ?? 0, keptTo: kept[1] ?? 0 }))

const snapshots = record({
  value: values,
  context: packables,
  historyValue: fc.option(
    fc.dictionary(key, fc.array(text, { maxLength: 3 }), { minKeys: 1, noNullPrototype: true }),
  ),
  output: packables,
})

/** Buffers and their parent class are the same bytes. */
function plain<T extends { recent: Uint8Array }>(record: T) {
  return { ...record, recent: Buffer.from(record.recent).toString('hex') }
}

it('every record comes back as it was', () => {
  fc.assert(
    fc.property(records, snapshots, (given, rest) => {
      // Only a finished chart is `done`; one that an operator ended stands where it was.
      const stored: StoredSnapshot = {
        ...rest,
        status: given.status === 'done' ? 'done' : 'active',
      }
      const back = decodeActor(encodeActor(given, stored))
      expect(plain(back.record)).toStrictEqual(plain(given))
      expect(back.stored).toStrictEqual(stored)
    }),
    { numRuns: 300 },
  )
})

it('the same record has the same bytes, whatever was packed before', () => {
  fc.assert(
    fc.property(records, snapshots, packables, (given, rest, other) => {
      const stored: StoredSnapshot = { ...rest, status: 'active' }
      const bytes = Buffer.from(encodeActor(given, stored)).toString('hex')
      encodeActor(given, { ...stored, context: other })
      expect(Buffer.from(encodeActor(given, stored)).toString('hex')).toBe(bytes)
    }),
  )
})

it('a long text of the index is cut behind what its rows can tell', () => {
  fc.assert(
    fc.property(
      records,
      snapshots,
      fc.string({ unit: 'grapheme', minLength: 240 }),
      (given, rest, long) => {
        const stored: StoredSnapshot = { ...rest, status: 'active' }
        const value = long.repeat(2)
        const back = decodeActor(encodeActor({ ...given, index: { value } }, stored)).record.index
        expect(String(back['value']).length).toBeLessThanOrEqual(257)
        expect(indexValueBytes(back['value']!)).toEqual(indexValueBytes(value))
      },
    ),
  )
})

it('what was decoded is encoded to the same bytes: nothing is written for nothing', () => {
  fc.assert(
    fc.property(records, snapshots, (given, rest) => {
      const status = given.status === 'done' ? 'done' : 'active'
      const bytes = encodeActor(given, { ...rest, status })
      const { record, stored } = decodeActor(bytes)
      expect(Buffer.compare(encodeActor(record, stored), bytes)).toBe(0)
    }),
  )
})

it('a record of another form is refused and not guessed at', () => {
  fc.assert(
    fc.property(records, snapshots, (given, rest) => {
      const [, ...fields] = unpack(encodeActor(given, { ...rest, status: 'active' })) as unknown[]
      expect(() => decodeActor(pack([77, ...fields]))).toThrow(/form 77/)
    }),
    { numRuns: 20 },
  )
})
