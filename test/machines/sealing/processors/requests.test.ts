/** What becomes of requests: replies in any order, errors, bad lines, progress, places and who is next. */
import { readdirSync, readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ProcessorError } from '../../../../machines/sealing/processors/index.ts'
import { holds, until } from '../../../waiting.ts'
import { child, failureOf, kindOf, laneIs, Rig } from './rig.ts'

const KEY = { key: 'store1' }
let rig: Rig

beforeEach(() => {
  rig = new Rig()
})
afterEach(() => rig.close())

describe('replies', () => {
  it('reach their callers in whatever order they come', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const first = processors.run('pc1', { do: 'hold', until: rig.path('late') }, KEY)
    expect(await processors.run('pc1', { do: 'echo', value: { n: 2 } }, KEY)).toEqual({ n: 2 })
    rig.touch('late')
    expect(await first).toBe(rig.path('late'))
  })

  it('with err_msg refuse the task and harm nobody else', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const other = processors.run('pc1', { do: 'hold', until: rig.path('go') }, KEY)
    const error = await failureOf(
      processors.run('pc1', { do: 'fail', message: 'no such ticket' }, KEY),
    )
    expect(error).toMatchObject({
      ...{ kind: 'refused', message: 'no such ticket', stage: 'pc1', lane: 'child.pc1.0' },
    })
    const passing = { do: 'fail', message: 'no space now', retry: true }
    expect(await kindOf(processors.run('pc1', passing, KEY))).toBe('unavailable')
    rig.touch('go')
    await other
    expect(processors.report()[0]).toMatchObject({ restarts: 0, running: [] })
  })

  it('count even if the child exits right behind them', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    expect(await processors.run('pc1', { do: 'last' }, KEY)).toBe('last')
  })

  it('are read though a library printed something in front of them', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const lines = ['loading params... {"id":$ID,"err_msg":null,"output":7}']
    expect(await processors.run('pc1', { do: 'raw', lines }, KEY)).toBe(7)
  })
})

describe('a reply that cannot be read', () => {
  it.each([
    ['broken JSON', '{"id":$ID,"err_msg":null,"output":{"proof":'],
    ['a reply without a result', '{"id":$ID,"err_msg":null,"output":null}'],
    ['a wrong type', '{"id":$ID,"err_msg":5,"output":1}'],
  ])('fails the request it is for at once: %s', async (_, line) => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    expect(await kindOf(processors.run('pc1', { do: 'raw', lines: [line] }, KEY))).toBe('bad-reply')
    await processors.quiet('store1')
    expect(rig.troubles).toMatchObject([{ lane: 'child.pc1.0', kind: 'bad-reply' }])
  })

  it('of nobody is logged in part, and the child goes on', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const lines = ['#'.repeat(300), '{"id":$ID,"err_msg":null,"output":1}']
    expect(await processors.run('pc1', { do: 'raw', lines }, KEY)).toBe(1)
    expect(rig.logged).toContainEqual(expect.objectContaining({ line: '#'.repeat(100) }))
  })

  it('longer than the limit fails its request, and what follows is read', async () => {
    const limits = { lineBytesMax: 100_000 }
    const processors = await rig.ready({ pc1: [child('pc1')] }, { limits })
    const long = processors.run('pc1', { do: 'long', bytes: 300_000 }, KEY)
    const fine = processors.run('pc1', { do: 'long', bytes: 90_000 }, KEY)
    expect(await kindOf(long)).toBe('bad-reply')
    expect(await fine).toHaveLength(90_000)
  })

  it('is kept as a file where the configuration says so', async () => {
    const dumpBadRepliesTo = rig.path('dumps')
    const processors = await rig.ready({ pc1: [child('pc1', {}, { dumpBadRepliesTo })] })
    const lines = [`{"id":$ID,${'y'.repeat(500)}`]
    await failureOf(processors.run('pc1', { do: 'raw', lines }, KEY))
    await expectDump(dumpBadRepliesTo, /^\{"id":1,y{500}$/)
  })

  it('is kept where the variable of its child says so', async () => {
    const env: NodeJS.ProcessEnv = { ...process.env }
    const processors = await rig.ready({ pc1: [child('pc1')] }, { env, limits: { dumpsMax: 1 } })
    env[`DUMP_ERR_RESP_${processors.report()[0]!.pid}`] = rig.path('dumps')
    const lines = ['{"id":$ID,z', '{"id":77,z']
    await failureOf(processors.run('pc1', { do: 'raw', lines }, KEY))
    await expectDump(rig.path('dumps'), /^\{"id":1,z$/)
    await processors.run('pc1', { do: 'echo', value: 1 }, KEY)
    expect(readdirSync(rig.path('dumps'))).toHaveLength(1)
  })
})

async function expectDump(directory: string, text: RegExp): Promise<void> {
  await until(
    () => rig.logged.some(({ msg }) => msg === 'the reply was kept'),
    { timeoutMs: 30_000 },
    () => JSON.stringify(rig.logged),
  )
  const [name] = readdirSync(directory)
  expect(readFileSync(`${directory}/${name}`, 'utf8')).toMatch(text)
}

describe('a task', () => {
  it('that is too long for a line is refused, and so is one that is no JSON', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] }, { limits: { lineBytesMax: 1_000 } })
    const value = 'x'.repeat(1_000)
    expect(await kindOf(processors.run('pc1', { do: 'echo', value }, KEY))).toBe('refused')
    expect(await kindOf(processors.run('pc1', { do: 'echo', value: 1n }, KEY))).toBe('refused')
    expect(await processors.run('pc1', { do: 'echo', value: 1 }, KEY)).toBe(1)
  })

  it('of a stage that nobody does is refused', async () => {
    const processors = await rig.ready({})
    const error = await failureOf(processors.run('pc9', {}, KEY))
    expect(error).toMatchObject({ kind: 'refused' })
    expect(error.message).toContain('[[processors.pc9]]')
  })

  it('tells its progress and which child works on it', async () => {
    const suffix = ' {"progress":true}'
    const processors = await rig.ready({ pc1: [child('pc1', { suffix })] })
    const seen: unknown[] = []
    const onProgress = (progress: unknown) => seen.push(progress)
    const onStarted = (where: unknown) => seen.push(where)
    const options = { ...KEY, onProgress, onStarted }
    expect(await processors.run('pc1', { do: 'steps', of: 2 }, options)).toBe('done')
    const { pid } = processors.report()[0]!
    const where = { lane: 'child.pc1.0', pid }
    expect(seen).toEqual([where, { done: 1, of: 2 }, { done: 2, of: 2 }])
  })

  it('whose caller fails upon progress still ends, and so do others', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    const onProgress = () => {
      throw new Error('not my day')
    }
    expect(await processors.run('pc1', { do: 'steps', of: 1 }, { ...KEY, onProgress })).toBe('done')
    expect(rig.logged).toContainEqual(expect.objectContaining({ error: 'not my day' }))
  })
})

describe('places', () => {
  const one = { concurrent: 1 }

  it('are those of the least loaded child', async () => {
    const processors = await rig.ready({
      pc2: [child('pc2', {}, { concurrent: 4 }), child('pc2', {}, { concurrent: 2 })],
    })
    const hold = { do: 'hold', until: rig.path('go') }
    const lanes: string[] = []
    const onStarted = ({ lane }: { lane: string }) => lanes.push(lane.slice(-1))
    const runs = Array.from({ length: 7 }, () => processors.run('pc2', hold, { ...KEY, onStarted }))
    // By the part that is free, then the one that was idle longer; the seventh waits.
    expect(lanes).toEqual(['0', '1', '0', '1', '0', '0'])
    expect(processors.report()[0]).toMatchObject({ waiting: 1, concurrent: 4 })
    rig.touch('go')
    await Promise.all(runs)
    expect(lanes).toHaveLength(7)
  })

  it('go to those who wait in their order, over all children', async () => {
    const processors = await rig.ready({ pc2: [child('pc2', {}, one), child('pc2', {}, one)] })
    const order: string[] = []
    const run = (name: string, lane?: string) =>
      processors
        .run('pc2', { do: 'hold', until: rig.path(name) }, { ...KEY, lane })
        .then(() => order.push(name))
    const runs = [run('a', 'child.pc2.0'), run('b', 'child.pc2.1')]
    // Who wants one certain child keeps its place there, and holds up nobody elsewhere.
    runs.push(run('c', 'child.pc2.0'), run('d'), run('e', 'child.pc2.0'), run('f'))
    for (const name of ['b', 'd', 'a', 'c', 'f', 'e']) {
      rig.touch(name)
      await until(
        () => order.includes(name),
        { timeoutMs: 30_000 },
        () => `${name} of ${order}`,
      )
    }
    await Promise.all(runs)
    expect(order).toEqual(['b', 'd', 'a', 'c', 'f', 'e'])
  })

  it('of a child that is not configured any more do not exist', async () => {
    const processors = await rig.ready({ pc2: [child('pc2')] })
    const gone = processors.run('pc2', { do: 'pid' }, { ...KEY, lane: 'child.pc2.7' })
    expect(await kindOf(gone)).toBe('unhealthy')
  })

  it('are waited for while every child is down, but not for ever', async () => {
    const limits = { unhealthyWaitMs: 150 }
    const processors = rig.open({ pc2: [child('pc2', { dies: 4, words: 'no GPU' })] }, { limits })
    await processors.start()
    await laneIs(processors, ({ lastError }) => lastError !== null)
    const error = await failureOf(processors.run('pc2', { do: 'pid' }, KEY))
    expect(error.kind).toBe('unhealthy')
    expect(error.message).toMatch(/child\.pc2\.0 is \w+: exit code 4; it said: no GPU/)
    expect(processors.report()[0]).toMatchObject({ waiting: 0 })
  })

  it('of a child that is down are those of another one with the same locks', async () => {
    const limits = { unhealthyWaitMs: 150 }
    const locked = { locks: ['gpu0'] }
    const processors = rig.open(
      { pc2: [child('pc2', { dies: 4 }, locked), child('pc2', {}, locked), child('pc2')] },
      { limits },
    )
    await processors.start()
    const isUp = () => processors.report()[2]?.state === 'ready'
    await laneIs(processors, ({ lastError }) => lastError !== null && isUp())
    const lanes: string[] = []
    const onStarted = ({ lane }: { lane: string }) => lanes.push(lane)
    const options = { ...KEY, lane: 'child.pc2.0', onStarted }
    await processors.run('pc2', { do: 'echo', value: 1 }, options)
    expect(lanes).toEqual(['child.pc2.1'])
    const apart = rig.open(
      { pc2: [child('pc2', { dies: 4 }, locked), child('pc2')] },
      {
        limits,
        ledgerDirectory: rig.path('apart'),
      },
    )
    await apart.start()
    expect(await kindOf(apart.run('pc2', { do: 'pid' }, options))).toBe('unhealthy')
  })

  it('are waited for as long as it takes while a child is up', async () => {
    const limits = { unhealthyWaitMs: 50 }
    const processors = await rig.ready({ pc2: [child('pc2', {}, one)] }, { limits })
    const first = processors.run('pc2', { do: 'hold', until: rig.path('go') }, KEY)
    const second = processors.run('pc2', { do: 'echo', value: 2 }, KEY)
    const third = new AbortController()
    const cancelled = processors.run('pc2', { do: 'pid' }, { ...KEY, signal: third.signal })
    third.abort(new Error('paused'))
    const error = await failureOf(cancelled)
    expect(error).toMatchObject({ kind: 'cancelled', message: 'cancelled: paused' })
    const waits = () => processors.report()[0]?.waiting === 1
    await holds(waits, { forMs: 150 }, 'the second waits on')
    rig.touch('go')
    await first
    expect(await second).toBe(2)
  })
})

/** The same promises without a child. */
describe('a stage inside the daemon', () => {
  it('is done by its handler where there are no children', async () => {
    const processors = await rig.ready({})
    processors.registerInner('c1', async (task, { key, onProgress }) => {
      onProgress('half')
      return { task, key }
    })
    const seen: unknown[] = []
    const onStarted = (where: unknown) => seen.push(where)
    const onProgress = (progress: unknown) => seen.push(progress)
    const options = { ...KEY, onStarted, onProgress }
    expect(await processors.run('c1', 1, options)).toEqual({ task: 1, key: 'store1' })
    expect(seen).toEqual([{ lane: 'inner.c1', pid: null }, 'half'])
  })

  it('is done by children where there are some', async () => {
    const processors = await rig.ready({ pc1: [child('pc1')] })
    processors.registerInner('pc1', async () => 'inner')
    expect(await processors.run('pc1', { do: 'echo', value: 'child' }, KEY)).toBe('child')
    expect(processors.report()).toHaveLength(1)
  })

  it('whose handler throws refuses the task, or means what it says', async () => {
    const processors = await rig.ready({})
    processors.registerInner('c1', async (task) => {
      if (task === 'wrong') throw new Error('no such seed')
      throw new ProcessorError('exited', 'a thread died', { stage: 'c1' })
    })
    expect(await failureOf(processors.run('c1', 'wrong', KEY))).toMatchObject({
      ...{ kind: 'refused', message: 'no such seed', lane: 'inner.c1' },
    })
    expect(await kindOf(processors.run('c1', 'other', KEY))).toBe('exited')
  })

  it('that is cancelled or late is told so, and counts until it has ended', async () => {
    const processors = await rig.ready({})
    const endings: (() => void)[] = []
    let aborts = 0
    processors.registerInner('c1', (_task, { signal }) => {
      signal.addEventListener('abort', () => {
        aborts += 1
      })
      return new Promise((resolve) => endings.push(() => resolve(1)))
    })
    const cancel = new AbortController()
    const cancelled = processors.run('c1', 1, { ...KEY, signal: cancel.signal })
    cancel.abort()
    const late = processors.run('c1', 2, { ...KEY, timeoutMs: 5 })
    expect([await kindOf(cancelled), await kindOf(late)]).toEqual(['cancelled', 'timed-out'])
    expect(aborts).toBe(2)
    let isQuiet = false
    const quiet = processors.quiet('store1').then(() => {
      isQuiet = true
    })
    expect(processors.report()[0]?.running).toMatchObject([
      { key: 'store1', isAbandoned: true },
      { key: 'store1', isAbandoned: true },
    ])
    endings.shift()?.()
    await until(
      () => processors.report()[0]?.running.length === 1,
      { timeoutMs: 5_000 },
      'one ended',
    )
    expect(isQuiet).toBe(false)
    endings.shift()?.()
    await quiet
  })

  it('ends with the daemon', async () => {
    const processors = await rig.ready({})
    processors.registerInner('c1', () => new Promise(() => undefined))
    const run = kindOf(processors.run('c1', 1, KEY))
    await processors.stop()
    expect(await run).toBe('unhealthy')
  })
})
