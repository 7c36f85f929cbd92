/** Pausing and going on: every race that operators know, each over a crash as well. */
import { beforeEach, describe, expect, it } from 'vitest'
import { start } from '../../../shard/support.ts'
import { POOL, Scene } from './rig.ts'

let s: Scene

const PC1 = ['Allocate', 'AcquireDeals', 'AddPiece', 'BuildTreeD', 'AssignTicket'] as const
const PLACING = { pool: POOL, gates: ['pc1'] }

const conditions = async () => {
  const { state, condition } = await s.view()
  return `${state} ${condition}`
}

beforeEach(async () => {
  s = await Scene.of()
  await s.through(...PC1)
})

describe.each([false, true])('with a crash in between: %s', (crashes) => {
  const crash = () => crashes && s.crash()

  it('while a step runs: pausing, the result is kept, then paused', async () => {
    await s.begin()
    await s.h.advance(1_000)
    const asked = await s.ask('PAUSE', { reason: 'new disk' })
    expect(asked).toMatchObject({ ok: true, condition: 'pausing', pausing: true })
    const pausedBy = { by: 'ann', at: s.now, reason: 'new disk' }
    expect(await s.view()).toMatchObject({ condition: 'pausing', paused: false, pausedBy })
    crash()
    await s.done('PC1', { pc1out: { inline: 'three hours' } })
    crash()
    expect(await s.view()).toMatchObject({ state: 'PC1Done', condition: 'paused', pausedBy })
    expect((await s.context()).record.pc1out).toEqual({ inline: 'three hours' })
    expect(await s.task()).toBeUndefined()
    expect(await s.ask('RESUME')).toMatchObject({ ok: true, state: 'PC1Done' })
    expect((await s.begin()).record.pc1out).toEqual({ inline: 'three hours' })
  })

  it('pause, and go on before the step has ended: the pause is taken back', async () => {
    await s.begin()
    await s.ask('PAUSE')
    crash()
    expect(await s.ask('RESUME')).toMatchObject({ ok: true, condition: 'running' })
    await s.done('PC1')
    expect(await conditions()).toBe('PC1Done waiting')
  })

  it('pause twice, while it runs and when it is paused: the first counts', async () => {
    await s.begin()
    await s.ask('PAUSE', { by: 'ann' })
    const twice = { ok: true, pausing: true, already: true }
    expect(await s.ask('PAUSE', { by: 'bob' })).toMatchObject(twice)
    crash()
    await s.done('PC1')
    const already = { ok: true, already: true, condition: 'paused' }
    expect(await s.ask('PAUSE', { by: 'bob' })).toMatchObject(already)
    expect((await s.view()).pausedBy).toMatchObject({ by: 'ann' })
    expect(await s.ask('RESUME')).toMatchObject({ ok: true })
    // Nothing of the second is left to pause it again.
    expect(await conditions()).toBe('PC1Done waiting')
  })

  it('in a back-off, a poll and a wait for the seed: at once; then the step is done again', async () => {
    await s.begin()
    await s.fail('temporary')
    expect(await conditions()).toBe('TicketAssigned retrying')
    await s.ask('PAUSE')
    crash()
    expect(await conditions()).toBe('TicketAssigned paused')
    await s.h.advance(3_600_000)
    expect(await conditions()).toBe('TicketAssigned paused')
    await s.ask('RESUME')
    for (const reason of ['chain', 'seed', 'store-space', 'manager-down']) {
      await s.begin()
      await s.rest(reason)
      expect(await conditions()).toBe('TicketAssigned resting')
      expect(await s.ask('PAUSE')).toMatchObject({ condition: 'paused' })
      crash()
      expect(await s.ask('RESUME')).toMatchObject({ ok: true, condition: 'waiting' })
    }
  })

  it('a step that nobody has begun: at once', async () => {
    expect(await s.ask('PAUSE')).toMatchObject({ ok: true, condition: 'paused' })
    crash()
    expect(await s.task()).toBeUndefined()
    await s.ask('RESUME')
    expect(await conditions()).toBe('TicketAssigned waiting')
  })

  it('an empty thread that found nothing to do: at once', async () => {
    s = await Scene.of()
    await s.begin()
    await s.rest('idle')
    expect(await conditions()).toBe('Empty idle')
    expect(await s.ask('PAUSE')).toMatchObject({ condition: 'paused' })
    crash()
    expect(await s.view()).toMatchObject({ paused: true, sector: null })
    await s.ask('RESUME')
    expect(await s.task()).toBeDefined()
  })

  it('in a wait for a place: at once, and the place goes to the next', async () => {
    s = await Scene.of(PLACING)
    await start(s.h, POOL, {
      ...{ slots: 100, limits: { 'stage.pc1': 1 }, choices: { pc1: [['stage.pc1']] } },
    })
    await s.h.run(
      s.h.client.send(POOL, { type: 'ACQUIRE', holder: 'other', anyOf: [['stage.pc1']] }),
    )
    await s.through(...PC1)
    await s.h.advance(100)
    expect(await conditions()).toBe('TicketAssigned waiting')
    expect(await s.task()).toBeUndefined()
    expect(await s.ask('PAUSE')).toMatchObject({ condition: 'paused' })
    crash()
    await s.h.run(s.h.client.send(POOL, { type: 'RELEASE', holder: 'other' }))
    await s.h.advance(1_000)
    const { context } = await s.h.run(s.h.client.get(POOL))
    expect(context).toMatchObject({ holders: [], waiters: [] })
    await s.ask('RESUME')
    await s.h.advance(1_000)
    expect((await s.begin()).granted).toEqual(['stage.pc1'])
  })

  it('between two sectors: at once', async () => {
    await s.ask('ABORT', { by: 'ann', reason: 'a test' })
    await s.step('Ended')
    await s.record()
    expect(await conditions()).toBe('Empty idle')
    expect(await s.ask('PAUSE')).toMatchObject({ ok: true, condition: 'paused' })
    crash()
    await s.h.advance(3_600_000)
    expect(await conditions()).toBe('Empty paused')
  })

  it('to go on while it runs, waits or is idle is refused, and changes nothing', async () => {
    const refused = { refused: 'not-paused', message: expect.stringContaining('retry') }
    expect(await s.ask('RESUME')).toMatchObject(refused)
    await s.begin()
    expect(await s.ask('RESUME')).toMatchObject(refused)
    crash()
    await s.rest('chain')
    expect(await s.ask('RESUME')).toMatchObject(refused)
    expect(await conditions()).toBe('TicketAssigned resting')
  })

  it('two that go on at once: the first does', async () => {
    await s.ask('PAUSE')
    expect(await s.ask('RESUME')).toMatchObject({ ok: true })
    crash()
    expect(await s.ask('RESUME')).toMatchObject({ refused: 'not-paused' })
  })

  it('what is paused and what is parked stays so over a restart of the worker', async () => {
    await s.begin()
    await s.fail('permanent', 'no parameters')
    crash()
    const lastError = { level: 'permanent', message: 'no parameters', state: 'TicketAssigned' }
    expect(await s.view()).toMatchObject({ condition: 'parked', paused: true, lastError })
    await s.h.advance(3_600_000)
    expect(await conditions()).toBe('TicketAssigned parked')
  })

  it('a manager that is away for hours parks nobody', async () => {
    for (let n = 0; n < 6; n++) {
      await s.begin()
      await s.rest('manager-down', 120_000)
      crash()
      await s.h.advance(120_000)
    }
    expect(await s.view()).toMatchObject({ retries: 0, lastError: null, condition: 'waiting' })
  })

  it('a manager that aborts a sector: what runs is cancelled at once', async () => {
    const { state } = await s.begin()
    expect(state).toBe('TicketAssigned')
    crash()
    const answer = await s.ask('ABORT', { by: 'manager', reason: 'deals expired' })
    expect(answer).toMatchObject({ ok: true, state: 'Aborted' })
    // The result of what was cancelled is not wanted.
    await expect(s.done('PC1')).rejects.toMatchObject({ code: 'task-gone' })
    const input = await s.begin()
    expect(input).toMatchObject({ state: 'Aborted', abortReason: 'deals expired' })
  })

  it('the end of an abort is not acknowledged: it is tried until it is', async () => {
    await s.ask('ABORT', { by: 'ann', reason: 'x' })
    for (let n = 0; n < 5; n++) {
      await s.begin()
      await s.rest('manager-down')
      crash()
      await s.h.advance(10_000)
    }
    expect(await conditions()).toBe('Aborted waiting')
    expect((await s.context()).record.sector).toBeDefined()
  })
})

it('what fails while it is pausing is paused with its error, and counted', async () => {
  await s.begin()
  await s.ask('PAUSE')
  await s.fail('temporary', 'no luck')
  expect(await s.view()).toMatchObject({ condition: 'paused', retries: 1 })
  expect((await s.view()).lastError).toMatchObject({ level: 'temporary' })
})

it('what rests while it is pausing is paused', async () => {
  await s.begin()
  await s.ask('PAUSE')
  await s.rest('chain')
  expect(await conditions()).toBe('TicketAssigned paused')
  await s.ask('RESUME')
  expect(await conditions()).toBe('TicketAssigned waiting')
})

it('what an error parks while it is pausing is parked', async () => {
  await s.begin()
  await s.ask('PAUSE')
  await s.fail('critical', 'no disk')
  expect(await s.view()).toMatchObject({ condition: 'parked', pausedBy: null })
  expect(await s.ask('PAUSE')).toMatchObject({ already: true, condition: 'parked' })
  await s.ask('RESUME')
  expect(await s.view()).toMatchObject({ condition: 'waiting', lastError: null, retries: 0 })
})

it('what is aborted while it is pausing is paused before anything is given up', async () => {
  await s.begin()
  await s.ask('PAUSE')
  await s.fail('abort', 'the manager says so')
  expect(await conditions()).toBe('Aborted paused')
  await s.ask('RESUME')
  expect((await s.begin()).abortReason).toBe('the manager says so')
})

it('retry tries the step anew, also while it runs, waits, or rests', async () => {
  await s.begin()
  const { taskId } = (await s.task())!
  await s.ask('PAUSE')
  expect(await s.ask('RESUME', { retry: true })).toMatchObject({ ok: true, condition: 'waiting' })
  expect((await s.task())!.taskId).not.toBe(taskId)
  await expect(s.done('PC1')).rejects.toMatchObject({ code: 'task-gone' })
  await s.begin()
  await s.rest('chain')
  await s.ask('RESUME', { retry: true })
  expect(await conditions()).toBe('TicketAssigned waiting')
})

it('a wake ends a rest and a back-off at once, and nothing else', async () => {
  expect(await s.ask('WAKE', { why: 'landed' })).toMatchObject({ ok: true, woken: false })
  await s.begin()
  await s.rest('chain', 180_000)
  expect(await s.ask('WAKE', { why: 'landed' })).toMatchObject({
    woken: true,
    condition: 'waiting',
  })
  await s.begin()
  await s.fail('temporary')
  expect(await s.ask('WAKE')).toMatchObject({ woken: true, condition: 'waiting' })
  await s.ask('PAUSE')
  expect(await s.ask('WAKE')).toMatchObject({ woken: false, condition: 'paused' })
})
