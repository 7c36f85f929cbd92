/** What failures of steps lead to: levels, counters, back-off; and that rests cost nothing. */
import { beforeEach, expect, it } from 'vitest'
import {
  entriesOf,
  HISTORY_MAX,
  initialContext,
  noted,
  type ThreadContext,
} from '../../../../machines/sealing/thread/context.ts'
import { DEFAULT_LIMITS, pack } from '../../../../src/protocol/index.ts'
import { worker } from '../../../shard/support.ts'
import { FULL, inputOf, Scene, SETTINGS, THREAD } from './rig.ts'

let s: Scene

beforeEach(async () => {
  s = await Scene.of()
  await s.step('Allocate', FULL)
})

/** Until what it waits for has come. */
async function waited(): Promise<number> {
  const { until } = await s.view()
  const leftMs = until! - s.now
  await s.h.advance(leftMs - 50)
  expect(await s.task()).toBeUndefined()
  await s.h.advance(100)
  expect(await s.task()).toBeDefined()
  return leftMs
}

it('temporary: tried again after a wait that doubles, with some spread', async () => {
  const waits: number[] = []
  for (let n = 0; n < SETTINGS.maxRetries; n++) {
    await s.begin()
    await s.fail('temporary', 'connection lost')
    expect(await s.view()).toMatchObject({ condition: 'retrying', retries: n + 1 })
    waits.push(await waited())
  }
  for (const [n, waitMs] of waits.entries()) {
    const fullMs = 60_000 * 2 ** n
    expect(Math.abs(waitMs - fullMs)).toBeLessThanOrEqual(fullMs * 0.2 + 1)
    expect(waitMs).not.toBe(fullMs)
  }
})

it('too often in one state: parked, for a person; who resumes it begins counting anew', async () => {
  for (let n = 0; n <= SETTINGS.maxRetries; n++) {
    await s.begin()
    await s.fail('temporary', 'connection lost')
    await s.h.advance(1_000_000)
  }
  const message = 'connection lost (tried 3 times)'
  const parked = { condition: 'parked', retries: 3, lastError: { level: 'permanent', message } }
  expect(await s.view()).toMatchObject(parked)
  await s.ask('RESUME')
  expect(await s.view()).toMatchObject({ condition: 'waiting', retries: 0, lastError: null })
})

it('progress takes the counter and the error back', async () => {
  await s.begin()
  await s.fail('temporary')
  await s.h.advance(200_000)
  await s.step('AcquireDeals')
  expect(await s.view()).toMatchObject({ retries: 0, lastError: null, state: 'DealsAcquired' })
})

it('so does a poll that was answered, but not a manager or a processor that is away', async () => {
  await s.begin()
  await s.fail('temporary')
  await s.h.advance(200_000)
  for (const reason of ['manager-down', 'processor-down']) {
    await s.begin()
    await s.rest(reason)
    const why = `it is ${reason}`
    expect(await s.view()).toMatchObject({ retries: 1, condition: 'resting', why })
    await s.h.advance(200_000)
  }
  await s.begin()
  await s.rest('chain')
  expect(await s.view()).toMatchObject({ retries: 0, lastError: null })
})

it.each(['permanent', 'critical'])('%s: parked at once', async (level) => {
  await s.begin()
  await s.fail(level, 'no parameters')
  const lastError = { level, message: 'no parameters', at: s.now, state: 'Allocated' }
  expect(await s.view()).toMatchObject({ condition: 'parked', lastError, why: 'no parameters' })
})

it('abort: the sector is given up, with the reason', async () => {
  await s.begin()
  await s.fail('abort', 'rejected')
  const input = await s.begin()
  expect(input).toMatchObject({ state: 'Aborted', abortReason: 'rejected' })
  expect(input.reported).toEqual({ prev: 'Allocated', next: 'Aborted', event: 'Abort' })
})

it('an abort of the end itself, or of a plan without one, is for a person', async () => {
  await s.ask('ABORT', { by: 'ann', reason: 'x' })
  await s.begin()
  await s.fail('abort', 'again')
  expect(await s.view()).toMatchObject({ state: 'Aborted', condition: 'parked' })
  s = await Scene.of({ plan: 'unseal' })
  await s.step('AllocatedUnsealSector', FULL)
  await s.begin()
  await s.fail('abort', 'no such piece')
  const why = 'abort: no such piece, but the plan unseal cannot give it up'
  expect(await s.view()).toMatchObject({ state: 'Allocated', condition: 'parked', why })
})

it('an abort where there is no sector is for a person, too', async () => {
  s = await Scene.of()
  await s.begin()
  await s.fail('abort', 'no such miner')
  const why = 'abort: no such miner, but there is no sector'
  expect(await s.view()).toMatchObject({ state: 'Empty', condition: 'parked', why })
})

it('what the platform reports, and what has no level, is temporary', async () => {
  await s.begin()
  await s.fail(null, 'who knows')
  expect(await s.view()).toMatchObject({ condition: 'retrying', lastError: { level: 'temporary' } })
  await s.h.advance(200_000)
  await s.begin()
  // Its lease is over.
  await s.h.advance(181_000)
  expect(await s.view()).toMatchObject({ condition: 'retrying', retries: 2 })
})

it('a step that ends with an event that its plan does not know there parks, and aborts nothing', async () => {
  await s.step('PC2', { pc2out: { commR: 'x', commD: 'y' } })
  const { condition, state, lastError } = await s.view()
  expect([condition, state, lastError?.level]).toEqual(['parked', 'Allocated', 'critical'])
  expect((await s.context()).record.pc2out).toEqual(FULL.pc2out)
})

it('a step that is cut off by a restart of its worker goes on under its token', async () => {
  await s.begin()
  s.crash()
  await s.h.advance(60_000)
  const { taskId } = (await s.task())!
  const hand = worker(s.h)
  await s.h.run(hand.attach(taskId, s.token))
  await s.done('AcquireDeals')
  expect((await s.view()).state).toBe('DealsAcquired')
})

it('rests are counted for the step, and end when their time is over', async () => {
  for (let n = 0; n < 3; n++) {
    const { rests, retries } = await s.begin()
    expect([rests, retries]).toEqual([n, 0])
    await s.rest('chain', 180_000)
    const { condition, why, until } = await s.view()
    expect([condition, why]).toEqual(['resting', 'it is chain'])
    expect(Math.abs(until! - s.now - 180_000)).toBeLessThan(1_000)
    await waited()
  }
})

it('rests are counted for one reason: polls do not lengthen the wait for a manager', async () => {
  for (const [reason, counted] of [
    ['chain', null],
    ['chain', 1],
    ['manager-down', 2],
    ['manager-down', 1],
  ] as const) {
    const { rests, restedFor } = await s.begin()
    if (counted === null) expect([rests, restedFor]).toEqual([0, null])
    else expect(rests).toBe(counted)
    await s.rest(reason, 180_000)
    await waited()
  }
})

it('a step is told since when it could have run, without what ran and without pauses', async () => {
  const since = async () => Math.round((s.now - ((await s.begin()).waitingSince ?? 0)) / 1_000)
  await s.h.advance(4_000)
  expect(await since()).toBe(4)
  await s.h.advance(70_000)
  await s.rest('chain', 30_000)
  await s.h.advance(33_000)
  expect(await since()).toBe(33)
  await s.fail('permanent')
  await s.h.advance(900_000)
  await s.ask('RESUME')
  await s.h.advance(2_000)
  expect(await since()).toBe(2)
  s = await Scene.of()
  expect((await s.begin()).waitingSince).toBeNull()
  await s.rest('idle', 60_000)
  await s.h.advance(61_000)
  expect(await since()).toBe(61)
})

it('what leads to a state is reported to the manager once', async () => {
  await s.step('AcquireDeals')
  const reported = { prev: 'Allocated', next: 'DealsAcquired', event: 'AcquireDeals' }
  expect((await s.begin()).reported).toEqual(reported)
  // Nobody knows how far a lost worker came.
  await s.fail(null, 'worker lost')
  // Nor was anybody told where nobody was there.
  for (const reason of ['worker-down', 'manager-down']) {
    await s.h.advance(200_000)
    expect((await s.begin()).reported).toEqual(reported)
    await s.rest(reason)
  }
  await s.h.advance(200_000)
  await s.begin()
  await s.rest('chain')
  await s.h.advance(200_000)
  expect((await s.begin()).reported).toBeNull()
  await s.done('AddPiece')
  await s.begin()
  await s.fail('temporary')
  await s.h.advance(200_000)
  expect((await s.begin()).reported).toBeNull()
})

it('texts of any length leave room for the record', async () => {
  let context: ThreadContext = { ...initialContext(inputOf()), record: FULL }
  const error = { level: 'temporary', message: '\u20ac'.repeat(10_000) }
  for (let at = 1; at <= HISTORY_MAX; at++) {
    const entry = { event: 'failed', from: 'PC1Done', to: 'PC1Done', at, isSpan: true, error }
    context = { ...context, ...noted(context, entry) }
  }
  expect(context.history.length + context.dropped).toBe(HISTORY_MAX)
  expect(context.history.length).toBeGreaterThan(30)
  expect(pack(context).length).toBeLessThan(DEFAULT_LIMITS.actorBytesMax / 4)
  await s.begin()
  await s.end({ kind: 'rest', reason: 'chain', afterMs: 1_000, why: 'x'.repeat(100_000) })
  expect((await s.view()).why!.length).toBeLessThan(1_000)
})

it('a long error is kept at a length that can be stored', async () => {
  await s.begin()
  await s.fail('permanent', 'x'.repeat(100_000))
  expect((await s.view()).lastError!.message.length).toBeLessThan(5_000)
  expect((await s.context()).history.at(-1)!.error!.message.length).toBeLessThan(1_000)
})

it('the history tells every move, with its work, its waits and its errors', async () => {
  s = await Scene.of()
  await s.begin()
  await s.h.advance(1_000)
  await s.end({ kind: 'done', event: 'Allocate', record: FULL, workMs: 1_000 })
  await s.h.advance(4_000)
  await s.begin()
  await s.fail('temporary', 'no luck')
  await s.h.advance(200_000)
  await s.ask('PAUSE')
  await s.h.advance(50_000)
  await s.ask('RESUME')
  await s.h.advance(2_000)
  await s.begin()
  await s.h.advance(3_000)
  await s.end({ kind: 'done', event: 'AcquireDeals', record: {}, workMs: 3_000 })
  const context = await s.context()
  const history = entriesOf(context)
  const told = history.map(({ event, from, to, durationMs, waitedMs }) =>
    [event, from, to, durationMs, Math.round(waitedMs / 1_000)].join(' '),
  )
  expect(told).toEqual([
    'Allocate Empty Allocated 1000 0',
    'failed Allocated Allocated 0 4',
    'Paused Allocated Allocated 0 200',
    'Resumed Allocated Allocated 0 0',
    'AcquireDeals Allocated DealsAcquired 3000 2',
  ])
  expect(history[1]!.error).toEqual({ level: 'temporary', message: 'no luck' })
  expect(history[2]).toMatchObject({ by: 'ann', worker: 'w1', thread: 'w1~a' })
  expect(THREAD).toContain(history[0]!.thread)
  // Where an entry is of, the thread itself says.
  expect(context.history[0]).not.toHaveProperty('worker')
})

it('of a long history the newest is kept, and how much is gone', () => {
  let context = { ...initialContext(inputOf()), dropped: 1 }
  for (let at = 1; at <= HISTORY_MAX + 10; at++) {
    const entry = { event: `e${at}`, from: 'PC1Done', to: 'PC1Done', at, isSpan: true }
    context = { ...context, ...noted(context, entry) }
  }
  const { history, dropped } = context
  expect([history.length, dropped]).toEqual([HISTORY_MAX, 11])
  expect([history[0]!.event, history.at(-1)!.event]).toEqual(['e11', `e${HISTORY_MAX + 10}`])
})
