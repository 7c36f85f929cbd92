/** From sector to sector: allocation, idleness, the end, drains, another configuration. */
import { describe, expect, it } from 'vitest'
import type { Chapter } from '../../../../machines/sealing/history/index.ts'
import { FULL, Scene, SETTINGS } from './rig.ts'

const conditions = async (s: Scene) => {
  const { state, condition } = await s.view()
  return `${state} ${condition}`
}

async function idle(s: Scene, times: number): Promise<void> {
  for (let n = 0; n < times; n++) {
    await s.begin()
    await s.rest('idle', 60_000)
    await s.h.advance(60_100)
  }
}

/** With a sector that is at its end. */
async function ending(given = {}): Promise<Scene> {
  const s = await Scene.of(given)
  await s.step('Allocate', FULL)
  await s.ask('PAUSE')
  await s.ask('RESUME', { state: 'Finished', force: true })
  return s
}

describe('empty', () => {
  it('is idle while there is nothing to do, and asks again', async () => {
    const s = await Scene.of()
    expect(await conditions(s)).toBe('Empty empty')
    await s.begin()
    await s.rest('idle', 60_000)
    expect(await conditions(s)).toBe('Empty idle')
    await s.h.advance(60_100)
    expect(await conditions(s)).toBe('Empty empty')
  })

  it('after so many answers of nothing the interval passes, and it begins anew', async () => {
    const s = await Scene.of()
    await idle(s, SETTINGS.requestTaskMaxRetries)
    expect((await s.begin()).rests).toBe(SETTINGS.requestTaskMaxRetries)
    await s.rest('idle', 60_000)
    const { until } = await s.view()
    expect(Math.abs(until! - s.now - SETTINGS.sealIntervalMs)).toBeLessThan(1_000)
    await s.h.advance(SETTINGS.sealIntervalMs + 100)
    expect((await s.begin()).rests).toBe(0)
  })

  it('a wake in the interval begins anew at once', async () => {
    const s = await Scene.of()
    await idle(s, SETTINGS.requestTaskMaxRetries)
    await s.begin()
    await s.rest('idle', 60_000)
    expect(await s.ask('WAKE', { why: 'deals' })).toMatchObject({ woken: true, condition: 'empty' })
    expect((await s.begin()).rests).toBe(0)
  })

  it('a manager that is away is no idleness, and begins nothing anew', async () => {
    const s = await Scene.of()
    for (let n = 0; n < 6; n++) {
      await s.begin()
      await s.rest('manager-down')
      await s.h.advance(10_100)
    }
    expect((await s.begin()).rests).toBe(6)
  })
})

describe('a request for a sector', () => {
  const key = async (s: Scene) => {
    const { cycle } = await s.begin()
    return cycle
  }

  it('has the same number however often it is made, and the next sector another', async () => {
    const s = await Scene.of()
    expect(await key(s)).toBe(0)
    await s.rest('manager-down')
    s.crash()
    await s.h.advance(10_100)
    expect(await key(s)).toBe(0)
    await s.fail('temporary')
    await s.h.advance(100_000)
    await s.ask('RESUME', { retry: true })
    expect(await key(s)).toBe(0)
    await s.rest('idle')
    await s.ask('CONFIGURE', { plan: 'snapup' })
    expect(await key(s)).toBe(0)
    await s.done('AllocatedSnapUpSector', FULL)
    expect(await key(s)).toBe(1)
    await s.done('AddPiece')
    await s.ask('PAUSE')
    await s.ask('RESUME', { state: 'Empty', force: true })
    await s.record()
    await s.ask('WAKE', { why: 'now' })
    expect(await key(s)).toBe(1)
    await s.done('AllocatedSnapUpSector', FULL)
    expect(await key(s)).toBe(2)
  })
})

describe('the end of a sector', () => {
  it('its history is written before the next sector begins', async () => {
    const s = await ending()
    await s.step('Ended')
    s.crash()
    expect(await s.view()).toMatchObject({ state: 'Finished', condition: 'running' })
    const chapter = (await s.begin()) as unknown as Chapter
    const { sector, plan, end, reason } = chapter
    expect({ sector, plan, end, reason }).toEqual({
      ...{ sector: 's-t010000-2', plan: 'sealer', end: 'Finished', reason: null },
    })
    const events = chapter.entries.map(({ event }) => event)
    expect(events).toEqual(['Allocate', 'Paused', 'SetState', 'Ended'])
    expect(chapter.startedAt).toBeLessThanOrEqual(chapter.endedAt)
    await s.recorded()
    expect(await s.view()).toMatchObject({
      ...{ state: 'Empty', condition: 'idle', sector: null, entries: 0 },
      totals: { finished: 1, aborted: 0 },
    })
    await s.h.advance(SETTINGS.sealIntervalMs + 100)
    expect(await s.begin()).toMatchObject({ state: 'Empty', record: {}, reported: null })
  })

  it('an aborted one is written with its reason, and counted', async () => {
    const s = await Scene.of()
    await s.step('Allocate', FULL)
    await s.ask('ABORT', { by: 'manager', reason: 'deals expired' })
    await s.step('Ended')
    const chapter = (await s.begin()) as unknown as Chapter
    expect(chapter).toMatchObject({ end: 'Aborted', reason: 'deals expired' })
    expect(chapter.entries.at(-2)).toMatchObject({ event: 'Abort', by: 'manager', to: 'Aborted' })
    await s.recorded()
    expect((await s.view()).totals).toEqual({ finished: 0, aborted: 1 })
  })

  it('a history that cannot be written is tried again; no sector ends without it', async () => {
    const s = await ending({ settings: { ...SETTINGS, maxRetries: 0 } })
    await s.step('Ended')
    for (let n = 0; n < 2; n++) {
      await s.begin()
      // The platform has given up its own attempts.
      await s.failRecord()
      expect(await conditions(s)).toBe('Finished retrying')
      await s.h.advance(2_000_000)
    }
    await s.record()
    expect(await conditions(s)).toBe('Empty idle')
  })

  it('a pause at the very end takes effect when the history is written', async () => {
    const s = await ending()
    await s.step('Ended')
    expect(await s.ask('PAUSE')).toMatchObject({ condition: 'pausing' })
    await s.record()
    expect(await conditions(s)).toBe('Empty paused')
    await s.ask('RESUME')
    expect(await conditions(s)).toBe('Empty empty')
  })

  it('a pause while the last step runs comes before its history, which is written later', async () => {
    const s = await ending()
    await s.begin()
    await s.ask('PAUSE')
    await s.done('Ended')
    expect(await conditions(s)).toBe('Finished paused')
    // Its files are gone: there is nothing that could go on elsewhere.
    for (const state of ['C2Done', 'Aborted', 'Empty']) {
      expect(await s.ask('RESUME', { state, force: true })).toMatchObject({ refused: 'ending' })
    }
    await s.ask('RESUME')
    expect(await s.ask('ABORT', { by: 'ann', reason: 'x' })).toMatchObject({ refused: 'ending' })
    await s.record()
    expect((await s.view()).totals.finished).toBe(1)
  })

  it('jobs have a history by their id', async () => {
    const s = await Scene.of({ plan: 'wdpost', location: null })
    await s.step('Allocated', { job: { id: 'j1', input: {} } })
    await s.step('Generate', { jobOutput: { inline: 1 } })
    await s.step('Finish')
    await s.step('Ended')
    expect(await s.begin()).toMatchObject({ sector: 'j1', plan: 'wdpost' })
  })
})

describe('a drain', () => {
  it('an idle thread is drained at once, and stays so over a crash', async () => {
    const s = await Scene.of()
    await s.begin()
    await s.rest('idle')
    expect(await s.ask('DRAIN')).toMatchObject({ ok: true, condition: 'drained' })
    s.crash()
    await s.h.advance(3_600_000)
    expect(await s.view()).toMatchObject({ condition: 'drained', draining: true })
    expect(await s.task()).toBeUndefined()
    expect(await s.ask('DRAIN')).toMatchObject({ already: true })
    expect(await s.ask('RESUME')).toMatchObject({ refused: 'not-paused' })
    expect(await s.ask('UNDRAIN')).toMatchObject({ ok: true, condition: 'empty' })
    expect(await s.task()).toBeDefined()
  })

  it('a sector under way is finished first', async () => {
    const s = await ending()
    await s.ask('DRAIN')
    expect(await s.view()).toMatchObject({
      state: 'Finished',
      draining: true,
      condition: 'waiting',
    })
    await s.step('Ended')
    await s.record()
    expect(await conditions(s)).toBe('Empty drained')
  })

  it('an allocation under way is not thrown away', async () => {
    const s = await Scene.of()
    await s.begin()
    expect(await s.ask('DRAIN')).toMatchObject({ condition: 'empty' })
    await s.done('Allocate', FULL)
    expect(await conditions(s)).toBe('Allocated waiting')
    const other = await Scene.of()
    await other.begin()
    await other.ask('DRAIN')
    await other.rest('idle')
    expect(await conditions(other)).toBe('Empty drained')
  })

  it('a pause of an empty thread does not hold it up, and counts again behind it', async () => {
    const s = await Scene.of({ takesNew: false })
    expect(await s.ask('PAUSE')).toMatchObject({ ok: true, condition: 'drained' })
    await s.ask('UNDRAIN')
    expect(await conditions(s)).toBe('Empty paused')
    await s.ask('DRAIN')
    expect(await conditions(s)).toBe('Empty drained')
    expect(await s.ask('RESUME')).toMatchObject({ ok: true, condition: 'drained' })
    await s.ask('UNDRAIN')
    expect(await conditions(s)).toBe('Empty empty')
  })
})

describe('another configuration', () => {
  const other = { ...SETTINGS, maxRetries: 9 }

  it('counts from the next sector on; the present one keeps its plan', async () => {
    const s = await ending()
    await s.ask('CONFIGURE', { plan: 'snapup', settings: other, index: 4 })
    s.crash()
    expect(await s.view()).toMatchObject({
      plan: 'sealer',
      maxRetries: 2,
      nextPlan: 'snapup',
      index: 4,
    })
    await s.step('Ended')
    await s.record()
    expect(await s.view()).toMatchObject({ plan: 'snapup', maxRetries: 9 })
    await s.h.advance(40_000)
    await s.step('AllocatedSnapUpSector', FULL)
    expect((await s.view()).state).toBe('Allocated')
  })

  it('settings count at once where that is asked for', async () => {
    const s = await ending()
    await s.ask('CONFIGURE', { settings: other, settingsNow: true })
    expect((await s.begin()).settings.maxRetries).toBe(9)
  })

  it('a step that nobody has begun learns where its store is now', async () => {
    const s = await Scene.of()
    await s.ask('CONFIGURE', { location: '/moved' })
    expect((await s.begin()).location).toBe('/moved')
  })

  it('an empty thread begins anew with it at once, but not if nothing has changed', async () => {
    const s = await Scene.of()
    await idle(s, 1)
    await s.ask('CONFIGURE', { plan: 'sealer', settings: SETTINGS })
    expect((await s.begin()).rests).toBe(1)
    await s.rest('idle')
    expect(await s.ask('CONFIGURE', { plan: 'rebuild' })).toMatchObject({ plan: 'rebuild' })
    expect(await s.begin()).toMatchObject({ plan: 'rebuild', state: 'Empty', rests: 0 })
  })

  it('an allocation under way ends by the plan that it began with', async () => {
    const s = await Scene.of()
    await s.begin()
    await s.ask('CONFIGURE', { plan: 'rebuild' })
    await s.done('Allocate', FULL)
    expect(await s.view()).toMatchObject({
      plan: 'sealer',
      state: 'Allocated',
      nextPlan: 'rebuild',
    })
    const other = await Scene.of()
    await other.begin()
    await other.ask('CONFIGURE', { plan: 'rebuild' })
    await other.rest('idle', 60_000)
    expect((await other.begin()).plan).toBe('rebuild')
  })

  it('what was parked for want of it is tried again', async () => {
    const s = await Scene.of()
    await s.begin()
    await s.fail('permanent', 'no such miner')
    await s.ask('CONFIGURE', { settings: other })
    expect(await s.view()).toMatchObject({ condition: 'empty', lastError: null })
  })

  it('bad input is refused whole', async () => {
    const s = await Scene.of()
    const bad = [{ plan: 'nonsense' }, { settings: { maxRetries: 1 } }, { index: -1 }]
    for (const fields of bad) await expect(s.ask('CONFIGURE', fields)).rejects.toThrow()
    await expect(s.ask('SETTLE')).rejects.toThrow()
    await expect(s.ask('Finish')).rejects.toThrow()
    await expect(s.ask('SetState.Finished')).rejects.toThrow()
    expect(await conditions(s)).toBe('Empty empty')
  })
})
