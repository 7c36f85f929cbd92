/** The queue of an idc: what workers are given, in which order, and what becomes of it when they are late. */
import { beforeEach, describe, expect, it } from 'vitest'
import type { EventObject } from '../../../../../src/protocol/index.ts'
import { code } from '../../../../shard/support.ts'
import { LanesRig, QUEUE } from './lanes-rig.ts'

const LEASE_MS = 10_000
const STAT = { doneSize: 10, doneCount: 1, totalSize: 20, totalCount: 2, progress: 50 }

let rig: LanesRig

beforeEach(async () => {
  rig = new LanesRig()
  await rig.begin()
  for (const name of ['balance', 'disk_drop', 'disk_repair'] as const) await rig.set(name, true)
})

const now = () => rig.h.clock.now()

function ask(type: string, fields: object): Promise<unknown> {
  return rig.h.run(rig.h.client.ask(QUEUE, { type, at: now(), ...fields }))
}

interface Given {
  taskId: string
  token: number
}

const acquire = (worker: string, leaseMs = LEASE_MS) =>
  ask('ACQUIRE', { worker, leaseMs }) as Promise<Given & { none?: string }>

async function heardTypes(taskId: string): Promise<string[]> {
  return (await rig.heard(taskId)).map(({ type }) => type).filter((type) => type !== 'PREPARE')
}

const last = (all: readonly EventObject[]) => all.at(-1)

describe('order', () => {
  it('by type, then by priority, then by age', async () => {
    const balance = await rig.offer('balance', { priority: 9 })
    const dropOld = await rig.offer('disk_drop')
    const dropYoung = await rig.offer('disk_drop')
    const dropFirst = await rig.offer('disk_drop', { priority: 1 })
    const repair = await rig.offer('disk_repair')
    const manual = await rig.offer('manual_migrate')
    const order = [manual, repair, dropFirst, dropOld, dropYoung, balance]
    const given: string[] = []
    for (const _ of order) given.push((await acquire('w')).taskId)
    expect(given).toEqual(order)
    expect(await acquire('w')).toEqual({ none: 'nothing to do' })
  })

  it('a priority that changes counts at once', async () => {
    const a = await rig.offer('balance')
    const b = await rig.offer('balance')
    await rig.offerAgain(b, { priority: 3 })
    expect((await acquire('w')).taskId).toBe(b)
    expect((await acquire('w')).taskId).toBe(a)
  })

  it('types that are switched off are passed over, and asked for again once they are on', async () => {
    const balance = await rig.offer('balance')
    const drop = await rig.offer('disk_drop')
    await rig.set('disk_drop', false)
    expect((await acquire('w')).taskId).toBe(balance)
    expect(await acquire('w')).toEqual({ none: 'nothing to do: disk_drop switched off' })
    await rig.set('disk_drop', true)
    expect((await acquire('w')).taskId).toBe(drop)
  })

  it('nothing is given before its time', async () => {
    const late = await rig.offer('balance', { delayMs: 5_000 })
    expect(await acquire('w')).toEqual({ none: 'nothing to do' })
    await rig.h.advance(4_000)
    expect(await acquire('w')).toEqual({ none: 'nothing to do' })
    rig.crash()
    await rig.h.advance(1_100)
    expect((await acquire('w')).taskId).toBe(late)
  })
})

describe('a lease', () => {
  it('is told to the task, with a token that is higher than any before', async () => {
    const a = await rig.offer('balance')
    const b = await rig.offer('balance')
    const first = await acquire('w1')
    const second = await acquire('w2')
    expect(second.token).toBeGreaterThan(first.token)
    expect(last(await rig.heard(a))).toMatchObject({
      ...{ type: 'LEASED', taskId: a, worker: 'w1', token: first.token },
      until: expect.any(Number),
    })
    expect(last(await rig.heard(b))).toMatchObject({ worker: 'w2', token: second.token })
    // Also of a queue that was deleted by hand, whose workers go on.
    await rig.h.run(rig.h.client.delete(QUEUE))
    await rig.h.run(rig.h.client.start(QUEUE, { idc: 'z1' }))
    await rig.h.advance(50)
    await rig.offerAgain(a)
    expect((await acquire('w3')).token).toBeGreaterThan(second.token)
  })

  it('goes on while it is renewed, and is over when it is not: then anybody gets the task at once', async () => {
    const id = await rig.offer('balance')
    const { token } = await acquire('w1')
    for (let times = 0; times < 4; times++) {
      await rig.h.advance(5_000)
      const tasks = [{ id, token }]
      expect(await ask('RENEW', { worker: 'w1', tasks, leaseMs: LEASE_MS })).toEqual({ errors: {} })
    }
    await rig.h.advance(9_500)
    expect(await acquire('w2')).toHaveProperty('none')
    await rig.h.advance(1_000)
    const again = await acquire('w2')
    expect(again.taskId).toBe(id)
    expect(await heardTypes(id)).toEqual(['LEASED', 'LEASE_LOST', 'LEASED'])
  })

  it('ends in time over a crash of the node', async () => {
    const id = await rig.offer('balance')
    await acquire('w1')
    rig.crash()
    await rig.h.advance(LEASE_MS - 1_000)
    expect(await acquire('w2')).toHaveProperty('none')
    rig.crash()
    await rig.h.advance(1_500)
    expect((await acquire('w2')).taskId).toBe(id)
  })

  it('a worker that is late is refused, whatever it says', async () => {
    const id = await rig.offer('balance')
    const { token } = await acquire('w1')
    await rig.h.advance(LEASE_MS + 100)
    const call = { worker: 'w1', taskId: id, token }
    const { sources: src, destination: dest } = rig.units(id)
    const calls: [string, object][] = [
      ['REPORT', { ...call, stat: STAT, shards: 1, bytes: 1 }],
      ['COMPLETE', { ...call, src, dest }],
      ['CANCEL', { ...call, reason: 'late', punishMs: 0 }],
      ['RECLAIM', { ...call, reason: 'late' }],
      ['GIVE_BACK', { ...call, reason: 'late' }],
    ]
    const before = await rig.queue()
    for (const [type, fields] of calls) {
      expect(await ask(type, fields), type).toMatchObject({ refused: 'stale-token' })
    }
    expect(await rig.queue()).toEqual(before)
    const { token: newer } = await acquire('w2')
    for (const [type, fields] of calls) {
      expect(await ask(type, fields), type).toMatchObject({ refused: 'stale-token' })
      expect(await ask(type, { ...fields, token: null }), type).toMatchObject({
        ...{ refused: 'not-holder', message: `w2 has ${id}, not w1` },
      })
      expect(await ask(type, { ...fields, token: newer }), type).toMatchObject({
        refused: 'not-holder',
      })
    }
    const tasks = [{ id, token }]
    expect(await ask('RENEW', { worker: 'w1', tasks, leaseMs: 1 })).toEqual({
      errors: { [id]: `${id} has the token ${newer}, not ${token}` },
    })
    expect(await heardTypes(id)).toEqual(['LEASED', 'LEASE_LOST', 'LEASED'])
  })

  it('of a worker that knows no tokens is its own by its name, for as long as it lasts', async () => {
    const id = await rig.offer('balance')
    await acquire('foreign')
    const tasks = [{ id, token: null }]
    await rig.h.advance(5_000)
    expect(await ask('RENEW', { worker: 'foreign', tasks, leaseMs: LEASE_MS })).toEqual({
      errors: {},
    })
    expect(await ask('RENEW', { worker: 'other', tasks, leaseMs: LEASE_MS })).toEqual({
      errors: { [id]: `foreign has ${id}, not other` },
    })
    const report = { worker: 'foreign', taskId: id, token: null, stat: STAT, shards: 1, bytes: 2 }
    expect(await ask('REPORT', report)).toEqual({ ok: true })
    await rig.h.advance(LEASE_MS + 100)
    expect(await ask('REPORT', report)).toMatchObject({ refused: 'not-holder' })
  })

  it('is not renewed while its type is switched off', async () => {
    const id = await rig.offer('balance')
    const { token } = await acquire('w')
    await rig.set('balance', false)
    const tasks = [{ id, token }]
    expect(await ask('RENEW', { worker: 'w', tasks, leaseMs: LEASE_MS })).toEqual({
      errors: { [id]: 'task has paused' },
    })
    await rig.h.advance(LEASE_MS + 100)
    expect(await heardTypes(id)).toEqual(['LEASED', 'LEASE_LOST'])
    expect(await acquire('w')).toHaveProperty('none')
  })

  it('of which the answer reached nobody is given back', async () => {
    const id = await rig.offer('balance')
    const { token } = await acquire('w')
    const call = { worker: 'w', taskId: id, token, reason: 'gone' }
    expect(await ask('GIVE_BACK', call)).toEqual({ ok: true })
    expect((await acquire('w2')).taskId).toBe(id)
    await rig.h.advance(LEASE_MS / 2)
    expect(await heardTypes(id)).toEqual(['LEASED', 'LEASE_LOST', 'LEASED'])
  })
})

describe('what a worker says', () => {
  let id: string
  let token: number

  beforeEach(async () => {
    id = await rig.offer('balance')
    token = (await acquire('w')).token
  })

  it('progress goes to the task, and what was moved to the windows of its lane', async () => {
    const call = { worker: 'w', taskId: id, token, stat: STAT }
    expect(await ask('REPORT', { ...call, shards: 3, bytes: 4_096 })).toEqual({ ok: true })
    expect(await ask('REPORT', { ...call, shards: 0, bytes: 0 })).toEqual({ ok: true })
    expect(last(await rig.heard(id))).toMatchObject({ type: 'REPORTED', token, stat: STAT })
    const { windows, totals } = await rig.lane('balance')
    expect(Math.max(...windows.bytes.counts)).toBe(4_096)
    expect(totals).toMatchObject({ shards: 3, bytes: 4_096 })
  })

  it('of what was moved nothing counts twice, whatever answers and reports were lost', async () => {
    const report = (doneCount: number, shards: number) => {
      const stat = { ...STAT, doneCount, doneSize: 100 * doneCount }
      return ask('REPORT', { worker: 'w', taskId: id, token, stat, shards, bytes: 100 * shards })
    }
    // Five of seven were there before; the answer is lost, so both go with the next report, and again.
    for (const [doneCount, shards] of [
      [7, 2],
      [8, 3],
      [8, 3],
      [7, 2],
      [12, 1],
    ] as const) {
      expect(await report(doneCount, shards)).toEqual({ ok: true })
    }
    expect((await rig.lane('balance')).totals).toMatchObject({ shards: 7, bytes: 700 })
    expect(last(await rig.heard(id))).toMatchObject({ stat: { doneCount: 12 } })
    // Whoever has it next begins with what is there.
    await rig.h.advance(LEASE_MS + 100)
    token = (await acquire('w')).token
    expect(await report(10, 0)).toEqual({ ok: true })
    expect(await report(11, 1)).toEqual({ ok: true })
    expect((await rig.lane('balance')).totals).toMatchObject({ shards: 8, bytes: 800 })
  })

  it('complete: only with the units that it was given; the same again is answered the same', async () => {
    const { sources, destination } = rig.units(id)
    const call = { worker: 'w', taskId: id, token, src: sources, dest: destination }
    const others = [
      { ...call, src: sources.slice(1) },
      { ...call, src: [...sources].reverse() },
      { ...call, dest: { ...destination, disk_id: 9 } },
      { ...call, dest: { ...destination, host: 'http://elsewhere' } },
    ]
    for (const wrong of others) {
      expect(await ask('COMPLETE', wrong)).toEqual({
        refused: 'unmatched',
        message: 'unmatched task vuids',
      })
    }
    expect(await ask('COMPLETE', call)).toEqual({ ok: true })
    expect(await ask('COMPLETE', call)).toEqual({ ok: true })
    expect(await ask('COMPLETE', { ...call, worker: 'x' })).toMatchObject({
      refused: 'not-offered',
    })
    expect(await heardTypes(id)).toEqual(['LEASED', 'COMPLETED'])
    expect((await rig.queue()).offers).toEqual({})
    await rig.h.advance(LEASE_MS * 2)
    expect(await heardTypes(id)).toEqual(['LEASED', 'COMPLETED'])
  })

  it('ids of units arrive as digits, too, and none is lost', async () => {
    const { sources, destination } = rig.units(id)
    const text = <T extends { vuid: bigint }>(one: T) => ({ ...one, vuid: String(one.vuid) })
    const call = { worker: 'w', taskId: id, token }
    const src = sources.map(text)
    expect(await ask('COMPLETE', { ...call, src, dest: text(destination) })).toEqual({ ok: true })
  })

  it('cancel: nobody gets it for a while, over a crash; then anybody', async () => {
    const call = { worker: 'w', taskId: id, token, reason: 'source is away', punishMs: 20_000 }
    expect(await ask('CANCEL', call)).toEqual({ ok: true })
    expect(await ask('CANCEL', call)).toEqual({ ok: true })
    expect(last(await rig.heard(id))).toMatchObject({
      ...{ type: 'CANCELLED', reason: 'source is away', token },
      until: expect.any(Number),
    })
    await rig.h.advance(10_000)
    rig.crash()
    expect(await acquire('w2')).toHaveProperty('none')
    await rig.h.advance(9_000)
    expect(await acquire('w2')).toHaveProperty('none')
    await rig.h.advance(1_200)
    expect((await acquire('w2')).taskId).toBe(id)
  })

  it('reclaim: the task is told, and offers itself anew', async () => {
    const call = { worker: 'w', taskId: id, token, reason: 'destination is broken' }
    expect(await ask('RECLAIM', call)).toEqual({ ok: true })
    expect(last(await rig.heard(id))).toMatchObject({
      ...{ type: 'RECLAIMED', token, reason: 'destination is broken' },
    })
    expect(await acquire('w2')).toHaveProperty('none')
    await rig.offerAgain(id)
    expect((await acquire('w2')).taskId).toBe(id)
  })
})

describe('offers', () => {
  it('one that is offered again keeps its lease, and its age', async () => {
    const a = await rig.offer('balance')
    const b = await rig.offer('balance')
    const { token } = await acquire('w')
    await rig.offerAgain(a)
    expect((await rig.queue()).offers[a]?.lease).toMatchObject({ worker: 'w', token })
    expect((await acquire('w2')).taskId).toBe(b)
    await rig.h.advance(LEASE_MS + 100)
    expect((await acquire('w3')).taskId).toBe(a)
  })

  it("one that is withdrawn is nobody's, with its lease and its delay", async () => {
    const a = await rig.offer('balance')
    const b = await rig.offer('balance', { delayMs: 1_000 })
    const { token } = await acquire('w')
    for (const taskId of [a, b]) {
      await rig.tellFrom(taskId, [{ to: QUEUE, event: { type: 'WITHDRAW', taskId } }])
    }
    await rig.h.advance(LEASE_MS * 2)
    expect(await acquire('w')).toEqual({ none: 'nothing to do' })
    expect(await heardTypes(a)).toEqual(['LEASED'])
    expect(
      await ask('REPORT', { worker: 'w', taskId: a, token, stat: STAT, shards: 0, bytes: 0 }),
    ).toMatchObject({ refused: 'not-offered', message: `${a} is not with workers now` })
  })

  it("of a task that an operator deleted is nobody's", async () => {
    const id = await rig.offer('balance')
    await rig.h.run(rig.h.client.delete(`migrate-task/${id}`))
    await acquire('w')
    await rig.h.advance(100)
    expect((await rig.queue()).offers).toEqual({})
  })

  it('with what is no task, or no unit, are refused', async () => {
    const task = rig.units('balance-1-7-001')
    const offer = { taskId: 'balance-1-7-001', priority: 0, notBefore: null, task }
    for (const wrong of [
      { ...offer, taskId: 'shuffle-1-7-001' },
      { ...offer, task: { ...task, destination: { ...task.destination, vuid: 0n } } },
      { ...offer, task: {} },
    ]) {
      expect(await code(rig.h, ask('OFFER', wrong))).toBe('invalid-event')
    }
    for (const type of ['LEASE_OVER', 'DELAY_OVER', 'SUBSCRIBE_AGAIN']) {
      await expect(ask(type, { taskId: offer.taskId, token: 1, order: 1 })).rejects.toThrow()
    }
  })
})

it('a node that is killed at any moment loses no word, and says none twice', async () => {
  for (let killAt = 0; killAt <= 60; killAt += 4) {
    rig = new LanesRig()
    await rig.begin()
    const id = await rig.offer('manual_migrate')
    const { token } = await acquire('w')
    const { sources: src, destination: dest } = rig.units(id)
    const call = { worker: 'w', taskId: id, token, src, dest }
    const said = rig.h.client.ask(QUEUE, { type: 'COMPLETE', at: now(), ...call })
    said.catch(() => {})
    await rig.h.advance(killAt)
    rig.crash()
    await rig.h.advance(100)
    // Whoever has heard no answer asks again.
    expect(await ask('COMPLETE', call), `${killAt}`).toEqual({ ok: true })
    expect(await heardTypes(id), `${killAt}`).toEqual(['LEASED', 'COMPLETED'])
    expect((await rig.queue()).offers).toEqual({})
  }
})

it('a queue that is older than the switches hears of them all the same', async () => {
  rig = new LanesRig()
  await rig.begin({ hasSwitches: false })
  const id = await rig.offer('balance')
  expect(await acquire('w')).toHaveProperty('none')
  await rig.h.run(rig.h.client.ensure('storage-switches/main'))
  await rig.set('balance', true)
  await rig.h.advance(2_000)
  expect((await acquire('w')).taskId).toBe(id)
})
