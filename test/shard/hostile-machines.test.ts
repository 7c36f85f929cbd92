/**
 * Whatever the code of a machine throws or gives back is told, or parks its actor; it never stops a
 * shard (P9).
 */
import { describe, expect, it } from 'vitest'
import { fromCallback, fromObservable, sendTo } from 'xstate'
import { z } from 'zod'
import { silentLog } from '../../src/adapters/system/index.ts'
import { type AnyTask, tell } from '../../src/machine/index.ts'
import { LiveActors } from '../../src/node/live-host.ts'
import {
  type Args,
  change,
  chart,
  code,
  failure,
  get,
  history,
  host,
  job,
  open,
  restart,
  see,
  seen,
  send,
  start,
  theTask,
  worker,
} from './support.ts'

type H = ReturnType<typeof open>

const broken = () => {
  throw new Error('the schema broke')
}

describe('a schema that throws, or wants to wait', () => {
  const schemas = {
    transform: z.object({ x: z.string().transform(broken) }),
    refine: z.object({ x: z.string().refine(broken) }),
    async: z.object({ x: z.string().refine(() => Promise.resolve(true)) }),
  }
  const words = {
    transform: 'the schema itself failed: the schema broke',
    refine: 'the schema itself failed: the schema broke',
    async: 'the schema itself failed: it is asynchronous',
  }

  it.each(['transform', 'refine', 'async'] as const)('%s', async (kind) => {
    const schema = schemas[kind]
    const m = host('m', { on: { GO: {} } }, {}, { events: { GO: schema } } as never)
    const picky = host('picky', {}, {}, { input: schema })
    const patched = host('patched', {}, {}, { context: schema })
    const h = open([m, picky, patched])
    await start(h, 'm/1')
    await start(h, 'patched/1')
    const errors = [
      await failure(h, h.client.send('m/1', { type: 'GO', x: 'y' })),
      await failure(h, h.client.start('picky/1', { x: 'y' })),
      await failure(h, h.client.patch('patched/1', { x: 'y' })),
    ]
    expect(errors.map((error) => [error.code, error.message])).toEqual(
      ['invalid-event', 'invalid-input', 'invalid-context'].map((expected) => [
        expected,
        expect.stringContaining(words[kind]),
      ]),
    )
    expect(h.stops).toEqual([])
  })

  it('issues that cannot be sent are told in words', async () => {
    const odd = z.looseObject({}).superRefine((_value, ctx) => {
      ctx.addIssue({ code: 'custom', message: 'odd', params: { f: () => 0 } })
    })
    const m = host('m', { on: { GO: {} } }, {}, { events: { GO: odd } } as never)
    const h = open([m])
    await start(h, 'm/1')
    const error = await failure(h, h.client.send('m/1', { type: 'GO' }))
    expect([error.code, error.message]).toEqual(['invalid-event', expect.stringContaining('odd')])
  })
})

describe('what cannot be packed', () => {
  const kid = chart('kid', { on: { X: {} } })

  it.each([
    ['a function to a paused child', { type: 'X', f: () => 1 }],
    ['an event without a type', { f: 1 }],
    ['an event whose type is a number', { type: 5 }],
  ])('%s is refused to the one who waits', async (_name, event) => {
    const m = host(
      'm',
      {
        invoke: { src: 'kid', id: 'kid' },
        on: {
          GO: { actions: sendTo('kid', event as never) },
          LATER: { actions: sendTo('kid', event as never, { delay: 10 }) },
        },
      },
      { actors: { kid } },
    )
    const h = open([m])
    await start(h, 'm/1')
    await h.run(h.client.pause('m/1/kid'))
    expect(await code(h, h.client.send('m/1', { type: 'GO' }))).toMatch(/conflict|malformed|parked/)
    await code(h, h.client.send('m/1', { type: 'LATER' })).catch(() => 'taken')
    await h.advance(50)
    expect(await get(h, 'm/1/kid')).toMatchObject({ kept: 0 })
    expect(h.stops).toEqual([])
  })

  it('an observable goes on while its actor is paused, and what it gave is kept', async () => {
    let give: (value: unknown) => void = () => {}
    const subscribable = {
      subscribe(observer: { next: (value: unknown) => void }) {
        give = (value) => observer.next(value)
        return { unsubscribe() {} }
      },
    }
    const source = fromObservable(() => subscribable as never)
    const text = ({ event }: Args) => JSON.stringify(event['snapshot'])
    const m = host(
      'm',
      { invoke: { src: 'obs', id: 'obs', onSnapshot: { actions: see(text) } } },
      { actors: { obs: source } },
    )
    const opened: { h?: H } = {}
    const live = new LiveActors(
      (shard, address, effectId, event) =>
        opened.h?.engines[shard]?.liveEvent(address, effectId, event),
      silentLog,
    )
    const h = open([m], { live })
    opened.h = h
    await start(h, 'm/1')
    give(1)
    await h.advance(10)
    await h.run(h.client.pause('m/1'))
    give(2)
    await h.advance(10)
    expect((await get(h, 'm/1')).kept).toBe(1)
    await h.run(h.client.resume('m/1'))
    expect((await seen(h, 'm/1')).slice(-2)).toEqual([
      '{"status":"active","context":1}',
      '{"status":"active","context":2}',
    ])
    expect(h.stops).toEqual([])
  })

  it.each([false, true])('an event of a callback parks, paused before: %s', async (paused) => {
    const m = host(
      'm',
      { invoke: { src: 'cb', id: 'cb' }, on: { GO: {} } },
      { actors: { cb: fromCallback(() => {}) } },
    )
    const h = open([m])
    await start(h, 'm/1')
    if (paused) await h.run(h.client.pause('m/1'))
    const { shard, effectId } = h.liveStarted[0]!
    h.engines[shard]!.liveEvent('m/1', effectId, { type: 'GO', f: () => 0 })
    h.engines[shard]!.liveEvent('m/1', effectId, {} as never)
    await h.advance(10)
    expect((await get(h, 'm/1')).parked?.error.message).toContain('callback')
    expect(h.stops).toEqual([])
  })

  it('what a schema made of an event is refused while the actor is paused', async () => {
    const made = z.object({}).transform(() => ({ f: () => 0 }))
    const m = host('m', { on: { GO: {} } }, {}, { events: { GO: made } } as never)
    const teller = host(
      'teller',
      {
        on: {
          ASK: { actions: tell({ to: 'm/1', event: { type: 'GO' } }) },
          'troupe.deadLetter': {},
        },
      },
      {},
    )
    const h = open([m, teller], { shardCount: 1 })
    await start(h, 'm/1')
    await start(h, 'teller/1')
    await h.run(h.client.pause('m/1'))
    expect(await code(h, h.client.send('m/1', { type: 'GO' }))).toBe('malformed')
    await send(h, 'teller/1', 'ASK')
    await h.advance(10)
    expect(await h.run(h.client.deadLetters())).toMatchObject([{ to: 'm/1' }])
    expect(await get(h, 'm/1')).toMatchObject({ kept: 0 })
    expect(h.stops).toEqual([])
  })

  it('a dry run tells it, as the real one would', async () => {
    const m = host('m', {
      on: { GO: { actions: change(() => ({ f: () => 1 })) }, FINE: { actions: see('x') } },
    })
    const born = host('born', { context: { f: () => 1 } })
    const h = open([m, born])
    await start(h, 'm/1')
    const tried = await failure(h, h.client.dryRun('m/1', { op: 'send', event: { type: 'GO' } }))
    const real = await failure(h, h.client.send('m/1', { type: 'GO' }))
    expect([tried.code, real.code]).toEqual(['conflict', 'conflict'])
    expect(await code(h, h.client.dryRun('born/1', { op: 'start' }))).toBe('conflict')
    expect(
      await h.run(h.client.dryRun('m/1', { op: 'send', event: { type: 'FINE' } })),
    ).toMatchObject({ handled: true })
    expect(h.stops).toEqual([])
  })

  it('a failure that is no text is told as well as it can be', async () => {
    const thrown: unknown[] = [
      Object.create(null),
      Object.assign(new Error('x'), { message: () => 0 }),
      Object.assign(new Error('x'), { message: Symbol('s') }),
      { message: Object.create(null) },
      Symbol('s'),
    ]
    const m = host('m', {
      on: {
        GO: {
          actions: change(({ event }) => {
            throw thrown[event.by]
          }),
        },
      },
    })
    const h = open([m])
    for (const [by] of thrown.entries()) {
      await start(h, `m/${by}`)
      expect(await code(h, h.client.send(`m/${by}`, { type: 'GO', by }))).toBe('parked')
    }
    expect(h.stops).toEqual([])
  })
})

describe('an actor that its version cannot read', () => {
  const kid = chart('kid', {
    initial: 'k',
    states: {
      k: {
        after: {
          5000: {
            actions: change(() => {
              throw new Error('the kid broke')
            }),
          },
        },
      },
    },
  })
  const same = { version: 2, migrations: { 1: (state: object) => state } } as never

  it('does not hear of the failure of its child; the child parks', async () => {
    const invoke = { src: 'kid', id: 'kid', onError: 'b' }
    const v1 = host('m', { initial: 'a', states: { a: { invoke }, b: {} } }, { actors: { kid } })
    const v2 = host(
      'm',
      { initial: 'c', states: { c: { invoke }, b: {} } },
      { actors: { kid } },
      same,
    )
    const first = open([v1])
    await start(first, 'm/1')
    const h = restart(first, [v2])
    await h.advance(10_000)
    expect(h.stops).toEqual([])
    expect((await get(h, 'm/1/kid')).parked?.error.message).toContain('the kid broke')
    expect((await get(h, 'm/1')).parked?.error.code).toBe('version-unknown')
  })

  it('takes the failure of a task and stays where it is', async () => {
    const invoke = { src: 't', id: 't', onError: 'b' }
    const actors = { t: job('t', { retry: { attemptsMax: 1 } }) }
    const v1 = host('m', { initial: 'a', states: { a: { invoke }, b: {} } }, { actors })
    const v2 = host('m', { initial: 'c', states: { c: { invoke }, b: {} } }, { actors }, same)
    const first = open([v1])
    await start(first, 'm/1')
    const { taskId } = await theTask(first, 'm/1')
    const { token } = await first.run(worker(first).start(taskId))
    const h = restart(first, [v2])
    await h.run(worker(h).fail(taskId, token, 'temporary'))
    expect((await get(h, 'm/1')).parked?.error.code).toBe('version-unknown')
    expect(h.stops).toEqual([])
  })

  it('answers a dry run with that', async () => {
    const v1 = host('m', { initial: 'a', states: { a: { on: { GO: 'b' } }, b: {} } })
    const v2 = host('m', { initial: 'c', states: { c: { on: { GO: 'b' } }, b: {} } }, {}, same)
    const first = open([v1])
    await start(first, 'm/1')
    const h = restart(first, [v2])
    const tried = h.client.dryRun('m/1', { op: 'send', event: { type: 'GO' } })
    expect(await code(h, tried)).toBe('version-unknown')
    expect(h.stops).toEqual([])
  })

  it.each<[string, (state: { value: unknown; context: unknown }) => unknown]>([
    ['nothing', () => undefined],
    ['a promise', (state) => Promise.resolve(state)],
    ['no position', ({ context }) => ({ context })],
    ['a position that is none', ({ context }) => ({ value: { a: null }, context })],
    ['a number for a position', ({ context }) => ({ value: 5, context })],
    ['no context', ({ value }) => ({ value })],
  ])('because its migration gave %s, parks', async (_name, migration) => {
    const config = { initial: 'a', states: { a: { on: { GO: 'b' } }, b: {} } }
    const first = open([host('m', config)])
    await start(first, 'm/1')
    const options = { version: 2, migrations: { 1: migration } } as never
    const h = restart(first, [host('m', config, {}, options)])
    expect(await get(h, 'm/1')).toMatchObject({
      version: 1,
      value: 'a',
      context: { n: 0, seen: [] },
      parked: { error: { code: 'version-unknown', message: expect.stringContaining('migration') } },
    })
    expect(h.stops).toEqual([])
  })
})

describe('a long text', () => {
  const long = 'e'.repeat(500_000)
  const machine = (t: AnyTask | object) =>
    host(
      'm',
      {
        initial: 'a',
        states: {
          a: { invoke: { src: 't', id: 't', onDone: 'b' }, on: { BAD: { actions: 'bad' } } },
          b: {},
        },
      },
      {
        actors: { t },
        actions: {
          bad: change(() => {
            throw new Error(long)
          }),
        },
      },
    )

  it('of a failed task is cut, and the actor can be resumed again and again', async () => {
    const h = open([machine(job('t'))])
    await start(h, 'm/1')
    for (let round = 0; round < 3; round++) {
      const { taskId } = await theTask(h, 'm/1')
      const { token } = await h.run(worker(h).start(taskId))
      await h.run(worker(h).fail(taskId, token, 'permanent', long))
      expect((await get(h, 'm/1')).parked?.error.message.length).toBeLessThan(5_000)
      await h.run(h.client.resume('m/1'))
    }
    for (const entry of await history(h, 'm/1'))
      expect((entry.note ?? '').length).toBeLessThan(5_000)
  })

  it('of a failed attempt is cut', async () => {
    const h = open([machine(job('t'))])
    await start(h, 'm/1')
    const { taskId } = await theTask(h, 'm/1')
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, token, 'temporary', long))
    expect((await theTask(h, 'm/1')).lastFailure?.length).toBeLessThan(5_000)
  })

  it('that the machine threw is cut', async () => {
    const h = open([machine(job('t'))])
    await start(h, 'm/1')
    const error = await failure(h, h.client.send('m/1', { type: 'BAD' }))
    expect(error.message.length).toBeLessThan(5_000)
    expect((await get(h, 'm/1')).parked?.error.message).toBe(error.message)
  })
})

it('two regions that would stand in two states of one are stopped where they are', async () => {
  const a = {
    initial: 'one',
    states: {
      one: { invoke: { src: 't', id: 'one' }, on: { GO: 'h' } },
      two: { invoke: { src: 't', id: 'two' } },
      h: { type: 'history' },
    },
  }
  const b = { initial: 'x', states: { x: { on: { GO: '#m.a.two' } } } }
  const m = host('m', { type: 'parallel', states: { a, b } }, { actors: { t: job('t') } })
  let h = open([m])
  await start(h, 'm/1')
  const before = await theTask(h, 'm/1')
  const error = await failure(h, h.client.send('m/1', { type: 'GO' }))
  expect([error.code, error.message]).toEqual([
    'parked',
    expect.stringContaining('a.one and a.two were entered both'),
  ])
  h = restart(h, [m])
  expect(await get(h, 'm/1')).toMatchObject({ value: { a: 'one', b: 'x' }, parked: {} })
  expect(await theTask(h, 'm/1')).toEqual(before)
  expect(h.stops).toEqual([])
})
