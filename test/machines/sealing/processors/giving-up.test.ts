/** Time-outs and cancels: what ends, what goes on, and when the files of a sector are quiet. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { holds, until } from '../../../waiting.ts'
import { allReady, child, failureOf, kindOf, laneIs, Rig, sizeOf } from './rig.ts'

const KEY = { key: 'store1' }
const SUFFIX = ' {"cancel":true}'
let rig: Rig

beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

/** What has happened by now, for promises that may settle at any time. */
function settledFlag(promise: Promise<unknown>): { is: boolean } {
  const flag = { is: false }
  void promise.finally(() => {
    flag.is = true
  })
  return flag
}

describe('a child that knows no cancel', () => {
  it('is killed when the only task in it is over time, and comes back at once', async () => {
    const limits = { restartMinMs: 60_000, restartMaxMs: 60_000 }
    const processors = await rig.ready({ pc1: [child('pc1')] }, { limits })
    const file = rig.path('sealed')
    const options = { ...KEY, timeoutMs: 100 }
    const error = await failureOf(processors.run('pc1', { do: 'scribble', file }, options))
    expect(error).toMatchObject({ kind: 'timed-out', message: 'pc1 took longer than 100 ms' })
    await processors.quiet('store1')
    const bytes = sizeOf(file)
    expect(bytes).toBeGreaterThan(0)
    // No back-off, since the child is not to blame.
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
    expect(sizeOf(file)).toBe(bytes)
    expect(processors.report()[0]).toMatchObject({ restarts: 1, lastError: null, running: [] })
  })

  it('is timed by its configuration where a task has no time of its own', async () => {
    const processors = await rig.ready({ pc1: [child('pc1', {}, { timeoutMs: 60 })] })
    expect(await kindOf(processors.run('pc1', { do: 'hang' }, KEY))).toBe('timed-out')
  })

  it('is killed hard when it does not listen to SIGTERM', async () => {
    const processors = await rig.ready({ pc1: [child('pc1', { ignoresTerm: true })] })
    const cancel = new AbortController()
    const run = processors.run('pc1', { do: 'hang' }, { ...KEY, signal: cancel.signal })
    cancel.abort()
    expect(await kindOf(run)).toBe('cancelled')
    const quiet = settledFlag(processors.quiet('store1'))
    expect(processors.report()[0]).toMatchObject({ running: [{ isAbandoned: true }] })
    await until(() => quiet.is, { timeoutMs: 30_000 }, 'the child is gone')
  })

  it('goes on for the sake of others, and the given-up task keeps its place', async () => {
    const two = { concurrent: 2 }
    const limits = { abandonedMs: 60_000 }
    const processors = await rig.ready({ pc1: [child('pc1', {}, two)] }, { limits })
    const other = processors.run('pc1', { do: 'hold', until: rig.path('other') }, { key: 'store2' })
    const given = { do: 'hold', until: rig.path('given-up') }
    expect(await kindOf(processors.run('pc1', given, { ...KEY, timeoutMs: 50 }))).toBe('timed-out')
    const next = settledFlag(processors.run('pc1', { do: 'echo', value: 3 }, { key: 'store3' }))
    const quiet = settledFlag(processors.quiet('store1'))
    await holds(() => !next.is && !quiet.is, { forMs: 100 }, 'the place is still taken')
    // It answers late: nobody is told, and its place is free again.
    rig.touch('given-up')
    await until(() => next.is && quiet.is, { timeoutMs: 30_000 }, 'the place is free')
    rig.touch('other')
    await other
    expect(processors.report()[0]).toMatchObject({ state: 'ready', restarts: 0 })
  })

  it('takes nothing new after a while, and is killed behind its last wanted task', async () => {
    const processors = await rig.ready({ pc1: [child('pc1', {}, { concurrent: 3 })] })
    const told: string[][] = []
    processors.watch((lanes) => told.push([...lanes]))
    const other = processors.run('pc1', { do: 'hold', until: rig.path('other') }, { key: 'store2' })
    const hung = processors.run('pc1', { do: 'hang' }, { ...KEY, timeoutMs: 30 })
    expect(await kindOf(hung)).toBe('timed-out')
    await laneIs(processors, ({ state }) => state === 'draining')
    const next = processors.run('pc1', { do: 'echo', value: 3 }, { key: 'store3' })
    expect(processors.report()[0]).toMatchObject({ waiting: 1 })
    rig.touch('other')
    expect(await other).toBe(rig.path('other'))
    expect(await next).toBe(3)
    await processors.quiet('store1')
    expect(processors.report()[0]).toMatchObject({ restarts: 1, lastError: null })
    expect(told).toEqual([['child.pc1.0'], []])
  })
})

describe('a child that knows cancel', () => {
  it('is asked, and neither it nor another task is harmed', async () => {
    const processors = await rig.ready({ pc1: [child('pc1', { suffix: SUFFIX })] })
    const other = processors.run('pc1', { do: 'hold', until: rig.path('other') }, { key: 'store2' })
    const cancel = new AbortController()
    const given = { do: 'hold', until: rig.path('never') }
    const run = processors.run('pc1', given, { ...KEY, signal: cancel.signal })
    cancel.abort()
    expect(await kindOf(run)).toBe('cancelled')
    await processors.quiet('store1')
    rig.touch('other')
    await other
    expect(processors.report()[0]).toMatchObject({ restarts: 0, running: [] })
  })

  it('is treated like one that knows none when it does not answer', async () => {
    const how = { suffix: SUFFIX, ignoresCancel: true }
    const processors = await rig.ready({ pc1: [child('pc1', how)] })
    expect(await kindOf(processors.run('pc1', { do: 'hang' }, { ...KEY, timeoutMs: 30 }))).toBe(
      'timed-out',
    )
    await processors.quiet('store1')
    await allReady(processors)
    expect(processors.report()[0]).toMatchObject({ restarts: 1 })
  })

  it('is not asked when its announcement cannot be read', async () => {
    const how = { suffix: ' {"cancel":"perhaps"}', ignoresCancel: true }
    const limits = { cancelGraceMs: 60_000 }
    const processors = await rig.ready({ pc1: [child('pc1', how)] }, { limits })
    await failureOf(processors.run('pc1', { do: 'hang' }, { ...KEY, timeoutMs: 30 }))
    await processors.quiet('store1')
  })
})

it('a task that is cancelled before it begins never begins', async () => {
  const processors = await rig.ready({ pc1: [child('pc1')] })
  const signal = AbortSignal.abort(new Error('drained'))
  const file = rig.path('sealed')
  const run = processors.run('pc1', { do: 'scribble', file }, { ...KEY, signal })
  expect(await failureOf(run)).toMatchObject({ kind: 'cancelled', message: 'cancelled: drained' })
  await processors.quiet('store1')
  expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
  expect(sizeOf(file)).toBe(0)
})

it('quiet waits for all work on its key and for no other', async () => {
  const processors = await rig.ready({ pc1: [child('pc1')] })
  const hold = (name: string, key: string) =>
    processors.run('pc1', { do: 'hold', until: rig.path(name) }, { key })
  const runs = [hold('a', 'store1'), hold('b', 'store1'), hold('c', 'store2')]
  const first = settledFlag(processors.quiet('store1'))
  const second = settledFlag(processors.quiet('store2'))
  await processors.quiet('store3')
  rig.touch('c')
  await until(() => second.is, { timeoutMs: 30_000 }, 'store2 is quiet')
  rig.touch('a')
  await runs[0]
  expect(first.is).toBe(false)
  rig.touch('b')
  await until(() => first.is, { timeoutMs: 30_000 }, 'store1 is quiet')
  await Promise.all(runs)
})
