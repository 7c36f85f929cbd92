/** Resume at a state of what has ended, or cannot be read: all that it needs there is alive again. */
import { describe, expect, it } from 'vitest'
import {
  change,
  chart,
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

const kid = chart('kid', { after: { 50000: {} } })
const actors = { kid, watch: job('watch'), ta: job('ta'), tb: job('tb') }

/** Two regions, one with a task and one with a child and a timer; a task of the root beside them. */
const states = {
  work: {
    type: 'parallel',
    states: {
      a: {
        initial: 'a1',
        states: {
          a1: { exit: see('a1 out'), invoke: { src: 'ta', id: 'ta' }, on: { END: 'end' } },
          a2: { on: { END: 'end' } },
          end: { type: 'final' },
        },
      },
      b: {
        initial: 'b1',
        states: {
          b1: { on: { NEXT: 'b2' } },
          b2: {
            entry: see('b2 in'),
            invoke: [
              { src: 'tb', id: 'tb', onDone: 'end' },
              { src: 'kid', id: 'kid' },
            ],
            after: { 1000: { actions: see('late') } },
            on: { END: 'end' },
          },
          end: { type: 'final' },
        },
      },
    },
    onDone: 'over',
  },
  over: { type: 'final' },
}
const plant = (version = 1, more: object = {}) =>
  host('plant', { initial: 'work', invoke: { src: 'watch', id: 'watch' }, states }, { actors }, {
    version,
    ...more,
  } as never)

type H = ReturnType<typeof open>

const tasksOf = async (h: H) => (await get(h, 'plant/x')).tasks.map(({ name }) => name).sort()

async function atWork(...events: string[]): Promise<H> {
  const h = open([plant()])
  await start(h, 'plant/x')
  for (const type of ['NEXT', ...events]) await send(h, 'plant/x', type)
  return h
}

/** The regions beside the path are alive: timers fall due, tasks run, children are there. */
async function expectAlive(h: H): Promise<void> {
  expect(await get(h, 'plant/x')).toMatchObject({
    status: 'active',
    value: { work: { a: 'a2', b: 'b2' } },
    children: ['plant/x/kid'],
  })
  expect(await tasksOf(h)).toEqual(['tb', 'watch'])
  expect(await get(h, 'plant/x/kid')).toMatchObject({ status: 'active', turn: 1 })
  await h.advance(1_500)
  expect((await seen(h, 'plant/x')).at(-1)).toBe('late')
  const { tasks } = await get(h, 'plant/x')
  const { taskId = '' } = tasks.find(({ name }) => name === 'tb') ?? {}
  const { token } = await h.run(worker(h).start(taskId))
  await h.run(worker(h).done(taskId, token))
  expect((await get(h, 'plant/x')).value).toEqual({ work: { a: 'a2', b: 'end' } })
  await send(h, 'plant/x', 'END')
  expect(await get(h, 'plant/x')).toMatchObject({ status: 'done', value: 'over', tasks: [] })
  expect(h.stops).toEqual([])
}

describe('resume inside a region', () => {
  it('of a cancelled actor brings the other regions and the root to life again', async () => {
    let h = await atWork()
    await h.run(h.client.cancel('plant/x'))
    expect(await get(h, 'plant/x')).toMatchObject({ status: 'stopped', tasks: [], timers: [] })
    h = restart(h, [plant()])
    await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
    // Where it stood is left only now.
    expect(await seen(h, 'plant/x')).toEqual(['b2 in', 'a1 out', 'b2 in'])
    h = restart(h, [plant()])
    await expectAlive(h)
  })

  it('a dry run tells all that would start, and nothing that is over', async () => {
    const h = await atWork()
    await h.run(h.client.cancel('plant/x'))
    const before = await get(h, 'plant/x')
    const receipt = await h.run(h.client.dryRun('plant/x', { op: 'resume', state: 'work.a.a2' }))
    expect(receipt).toMatchObject({
      value: { work: { a: 'a2', b: 'b2' } },
      effects: [
        'run task watch as watch',
        expect.stringContaining('timer xstate.after.1000.plant.work.b.b2'),
        'run task tb as tb',
        'start child kid (kid)',
      ],
    })
    expect(await get(h, 'plant/x')).toEqual(before)
  })

  it('of a finished actor starts the root and the regions', async () => {
    const h = await atWork('END')
    expect(await get(h, 'plant/x')).toMatchObject({ status: 'done', value: 'over' })
    await h.run(h.client.resume('plant/x', { state: 'work.b.b2' }))
    expect((await get(h, 'plant/x')).value).toEqual({ work: { a: 'a1', b: 'b2' } })
    expect(await tasksOf(h)).toEqual(['ta', 'tb', 'watch'])
    await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
    await expectAlive(h)
  })

  it('of one that was migrated after it was cancelled goes by its new position', async () => {
    let h = await atWork()
    await h.run(h.client.cancel('plant/x'))
    const forward = ({ context }: { context: object }) => ({
      value: { work: { a: 'a1', b: 'b1' } },
      context,
    })
    h = restart(h, [plant(2, { migrations: { 1: forward } })])
    await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
    expect(await get(h, 'plant/x')).toMatchObject({
      version: 2,
      value: { work: { a: 'a2', b: 'b1' } },
    })
    expect(await tasksOf(h)).toEqual(['watch'])
  })

  it.each(['active', 'cancelled'])(
    'of one that cannot be read, %s, begins the others',
    async (was) => {
      let h = await atWork()
      if (was === 'cancelled') await h.run(h.client.cancel('plant/x'))
      h = restart(h, [plant(2)])
      await h.run(h.client.resume('plant/x', { state: 'work.a.a1' }))
      expect(await get(h, 'plant/x')).toMatchObject({
        version: 2,
        status: 'active',
        value: { work: { a: 'a1', b: 'b1' } },
        timers: [],
        children: [],
      })
      expect(await tasksOf(h)).toEqual(['ta', 'watch'])
      // It has left no state that it was not in.
      expect(await seen(h, 'plant/x')).toEqual(['b2 in'])
      await send(h, 'plant/x', 'NEXT')
      await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
      await expectAlive(h)
    },
  )
})

describe('resume of a parked actor at a state beside the one that failed', () => {
  const fail = async (h: H, name: string) => {
    const { tasks } = await get(h, 'plant/x')
    const { taskId = '' } = tasks.find((task) => task.name === name) ?? {}
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, token, 'permanent', 'disk on fire'))
    expect((await get(h, 'plant/x')).parked).toBeDefined()
  }

  it('starts the failed task again', async () => {
    const h = await atWork()
    await fail(h, 'tb')
    expect(await tasksOf(h)).toEqual(['ta', 'watch'])
    await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
    expect((await history(h, 'plant/x')).at(-1)).toMatchObject({ cause: 'resume' })
    await expectAlive(h)
  })

  it('starts the failed task of the root again', async () => {
    const h = await atWork()
    await fail(h, 'watch')
    await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
    await expectAlive(h)
  })

  it('leaves alone what runs beside it', async () => {
    const h = await atWork()
    await fail(h, 'ta')
    const before = (await get(h, 'plant/x')).tasks
    await h.run(h.client.resume('plant/x', { state: 'work.a.a2' }))
    expect((await get(h, 'plant/x')).tasks).toEqual(before)
    await expectAlive(h)
  })

  it('does not run again what has a result that waits', async () => {
    const on = { broken: true }
    const check = change(() => {
      if (on.broken) throw new Error('it broke')
      return {}
    })
    const b1 = { invoke: { src: 'tb', id: 'tb', onDone: { target: 'b2', actions: check } } }
    const m = host(
      'plant',
      {
        type: 'parallel',
        states: {
          a: { initial: 'a1', states: { a1: {}, a2: {} } },
          b: { initial: 'b1', states: { b1, b2: {} } },
        },
      },
      { actors },
    )
    const h = open([m])
    await start(h, 'plant/x')
    const { taskId } = await theTask(h, 'plant/x')
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(worker(h).done(taskId, token))
    expect(await get(h, 'plant/x')).toMatchObject({ parked: {}, kept: 1 })
    on.broken = false
    await h.run(h.client.resume('plant/x', { state: 'a.a2' }))
    expect(await get(h, 'plant/x')).toMatchObject({
      value: { a: 'a2', b: 'b2' },
      tasks: [],
      kept: 0,
    })
    expect((await history(h, 'plant/x')).map(({ cause }) => cause)).not.toContain(
      'dropped the result of a task',
    )
  })
})
