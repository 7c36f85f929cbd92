/** A machine is told that an attempt begins: in the commit that lets it begin, and only if it asks. */
import { describe, expect, it, vi } from 'vitest'
import {
  code,
  get,
  history,
  host,
  job,
  open,
  restart,
  see,
  send,
  start,
  theTask,
  worker,
} from './support.ts'

const STARTED = 'troupe.started.actor.t'

function machineOf(on: object) {
  return host(
    'm',
    {
      initial: 'active',
      states: {
        active: {
          invoke: { src: 'work', id: 't', onDone: 'fine', onError: 'again' },
          initial: 'ready',
          states: { ready: { on: { [STARTED]: on, LOOK: { actions: 'look' } } }, running: {} },
        },
        again: { on: { GO: 'active' } },
        fine: {},
        left: {},
      },
    },
    {
      actors: { work: job('work', { retry: { attemptsMax: 1 } }) },
      actions: {
        see: see(({ event }) => `${event['worker'] as string} ${event['attempt'] as number}`),
        look: see('look'),
        boom: see(() => {
          throw new Error('the assign broke')
        }),
      },
    },
  )
}

const plain = machineOf({ target: 'running', actions: 'see' })

async function begun(machine = plain) {
  const h = open([machine])
  await start(h, 'm/x')
  const { taskId } = await theTask(h, 'm/x')
  return { h, taskId, hand: worker(h) }
}

describe('a state that names the start of its task', () => {
  it('is entered with the attempt, in one commit', async () => {
    const { h, taskId, hand } = await begun()
    const commits = vi.spyOn(h.store, 'write')
    const { token } = await h.run(hand.start(taskId))
    expect(commits).toHaveBeenCalledTimes(1)
    const view = await get(h, 'm/x')
    expect(view).toMatchObject({ value: { active: 'running' }, context: { seen: ['w1 1'] } })
    expect(view.tasks).toMatchObject([{ taskId, state: 'running', attempt: 1 }])
    const [last] = (await history(h, 'm/x')).slice(-1)
    expect(last).toMatchObject({ cause: STARTED, by: 'task work', to: 'active.running' })
    await h.run(hand.done(taskId, token, 1))
    expect(await get(h, 'm/x')).toMatchObject({ value: 'fine', tasks: [] })
  })

  it('survives a restart as begun, and is not told twice', async () => {
    const { h, taskId, hand } = await begun()
    const { token } = await h.run(hand.start(taskId))
    const again = restart(h, [plain])
    expect(await get(again, 'm/x')).toMatchObject({
      value: { active: 'running' },
      context: { seen: ['w1 1'] },
    })
    expect(await code(again, worker(again).start(taskId))).toBe('task-held')
    await again.run(worker(again).done(taskId, token, 1))
    expect((await get(again, 'm/x')).context).toMatchObject({ seen: ['w1 1'] })
  })

  it('may leave: then nothing begins', async () => {
    const { h, taskId, hand } = await begun(machineOf({ target: '#m.left' }))
    expect(await code(h, hand.start(taskId))).toBe('task-gone')
    expect(await get(h, 'm/x')).toMatchObject({ value: 'left', tasks: [] })
  })

  it('may fail: the actor is parked, nothing begins, and its resume offers the task again', async () => {
    const { h, taskId, hand } = await begun(machineOf({ target: 'running', actions: 'boom' }))
    expect(await code(h, hand.start(taskId))).toBe('task-held')
    const view = await get(h, 'm/x')
    expect(view.parked?.error.message).toContain('the assign broke')
    expect(view).toMatchObject({ value: { active: 'ready' }, tasks: [{ state: 'queued' }] })
    await h.run(h.client.resume('m/x'))
    expect((await theTask(h, 'm/x')).taskId).not.toBe(taskId)
  })

  it('is not told while its actor is paused: the attempt does not begin', async () => {
    const { h, taskId, hand } = await begun()
    await h.run(h.client.pause('m/x'))
    expect(await code(h, hand.start(taskId))).toBe('task-held')
    await send(h, 'm/x', 'LOOK')
    expect(await code(h, hand.start(taskId))).toBe('task-held')
    await h.run(h.client.resume('m/x'))
    await h.run(hand.start(taskId))
    expect((await get(h, 'm/x')).context).toMatchObject({ seen: ['look', 'w1 1'] })
  })
})

it('cannot be sent from outside, and is no event of another state', async () => {
  const { h, taskId, hand } = await begun()
  expect(await code(h, h.client.send('m/x', { type: STARTED }))).toBe('invalid-event')
  await h.run(hand.start(taskId))
  const { turn } = await get(h, 'm/x')
  // `running` names it no more: an attempt that follows a pause is not told.
  await h.run(h.client.pause('m/x', { interrupt: true }))
  await h.run(h.client.resume('m/x'))
  const { turn: resumed } = await get(h, 'm/x')
  await h.run(hand.start(taskId))
  const after = await get(h, 'm/x')
  expect(after).toMatchObject({ turn: resumed, tasks: [{ attempt: 2, state: 'running' }] })
  expect(turn).toBeLessThan(resumed)
})
