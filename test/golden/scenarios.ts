/**
 * Actors in many conditions: how each came to be, and how it has to go on when its rows are read by
 * the present code. Steps use the harness only, so that the same steps always write the same bytes.
 */
import { expect } from 'vitest'
import type { MachineDefinition } from '../../src/machine/index.ts'
import { type Limits, shardOf } from '../../src/protocol/index.ts'
import { TABLE } from '../../src/shard/keys.ts'
import type { Harness } from '../shard/harness.ts'
import { code, get, seen, send, start, theTask, worker } from '../shard/support.ts'
import { rowsAsText } from './fixture.ts'
import * as machines from './machines.ts'

type Notes = Record<string, unknown>

export interface Scenario {
  name: string
  machines: readonly MachineDefinition[]
  limits?: Partial<Limits>
  /** False when the actors go on by themselves as soon as they are read. */
  still: boolean
  /** Makes the actors; returns what `goOn` has to know, and `rows` if not those at the end. */
  build: (h: Harness) => Promise<Notes | undefined>
  goOn: (h: Harness, notes: Notes) => Promise<void>
}

async function finishedTask(h: Harness, address: string): Promise<void> {
  const { taskId } = await theTask(h, address)
  const hand = worker(h)
  const { token } = await h.run(hand.start(taskId))
  await h.run(hand.done(taskId, token, 1))
}

const flat: Scenario = {
  name: 'flat',
  machines: [machines.flat],
  still: true,
  async build(h) {
    await start(h, 'flat/a')
    // More turns than a chunk of the history holds.
    for (let n = 0; n < 11; n++) await send(h, 'flat/a', n % 3 === 0 ? 'NEXT' : 'ADD', { by: n })
    await h.advance(1_234)
    const id = `${h.clock.now()}-golden`
    const reply = await h.run(h.client.send('flat/a', { type: 'ADD', by: 100 }, { id }))
    await start(h, 'flat/with%20blank%2F%C3%A9')
    return { id, reply }
  },
  async goOn(h, { id, reply }) {
    const again = h.client.send('flat/a', { type: 'ADD', by: 100 }, { id: id as string })
    expect(await h.run(again)).toEqual(reply)
    const { turn } = await get(h, 'flat/a')
    await send(h, 'flat/a', 'ADD', { by: 1 })
    expect(await get(h, 'flat/a')).toMatchObject({ turn: turn + 1, value: 'red' })
    expect(await h.run(h.client.history('flat/a', { limit: 100 }))).toHaveLength(turn + 1)
    const { rows } = await h.run(
      h.client.list({ filter: { machine: 'flat', where: { even: true } } }),
    )
    expect(rows.map(({ address }) => address)).toContain('flat/with%20blank%2F%C3%A9')
  },
}

const regions: Scenario = {
  name: 'regions',
  machines: [machines.regions],
  still: true,
  async build(h) {
    for (const id of ['regions/in', 'regions/out']) {
      await start(h, id)
      for (const type of ['NEXT', 'NEXT', 'FLIP']) await send(h, id, type)
    }
    await send(h, 'regions/out', 'LEAVE')
    return undefined
  },
  async goOn(h) {
    await send(h, 'regions/out', 'BACK')
    const { value } = await get(h, 'regions/in')
    expect(value).toEqual({ work: { left: { b: 'b2' }, right: 'y' } })
    expect((await get(h, 'regions/out')).value).toEqual(value)
    await send(h, 'regions/in', 'FLIP')
    expect((await get(h, 'regions/in')).value).toEqual({ work: { left: { b: 'b2' }, right: 'x' } })
  },
}

const timers: Scenario = {
  name: 'timers',
  machines: [machines.alarms],
  still: true,
  async build(h) {
    for (const id of ['alarms/run', 'alarms/frozen']) {
      await start(h, id)
      await send(h, id, 'SET', { by: 5_000, text: 'first' })
      await send(h, id, 'SET', { by: 70_000, text: 'second' })
    }
    await h.advance(1_000)
    await h.run(h.client.pause('alarms/frozen', { timers: 'freeze', reason: 'golden' }))
    return undefined
  },
  async goOn(h) {
    await h.advance(3_999)
    expect(await seen(h, 'alarms/run')).toEqual([])
    await h.advance(1)
    expect(await seen(h, 'alarms/run')).toEqual(['first'])
    await h.advance(66_000)
    expect(await seen(h, 'alarms/frozen')).toEqual([])
    await h.run(h.client.resume('alarms/frozen'))
    await h.advance(4_000)
    expect(await seen(h, 'alarms/frozen')).toEqual(['first'])
    await h.advance(85_000)
    for (const id of ['alarms/run', 'alarms/frozen']) {
      expect(await get(h, id)).toMatchObject({ value: 'late', timers: [] })
      expect(await seen(h, id)).toEqual(['first', 'second'])
    }
  },
}

const tasks: Scenario = {
  name: 'tasks',
  machines: [machines.jobs],
  still: true,
  async build(h) {
    const hand = worker(h)
    const notes: Notes = {}
    for (const id of ['queued', 'running', 'waiting', 'interrupted']) {
      const address = `jobs/${id}`
      await start(h, address)
      await send(h, address, 'GO')
      if (id === 'queued') continue
      const { taskId } = await theTask(h, address)
      const { token } = await h.run(hand.start(taskId))
      notes[id] = { taskId, token }
      if (id === 'waiting') await h.run(hand.fail(taskId, token, 'temporary', 'try later'))
      if (id === 'interrupted') await h.run(h.client.pause(address, { interrupt: true }))
    }
    return notes
  },
  async goOn(h, notes) {
    const hand = worker(h)
    const { taskId, token } = notes['running'] as { taskId: string; token: string }
    await h.run(hand.beat(taskId, token))
    await h.run(hand.done(taskId, token, 7n))
    expect(await get(h, 'jobs/running')).toMatchObject({ value: 'idle', tasks: [] })
    expect(await seen(h, 'jobs/running')).toEqual(['done 7'])
    await finishedTask(h, 'jobs/queued')
    const { notBefore } = await theTask(h, 'jobs/waiting')
    await h.advance(notBefore! - h.clock.now())
    expect(await theTask(h, 'jobs/waiting')).toMatchObject({ state: 'queued', attempt: 1 })
    await finishedTask(h, 'jobs/waiting')
    const old = notes['interrupted'] as { taskId: string; token: string }
    expect(await code(h, hand.done(old.taskId, old.token, 1))).toBe('task-stale')
    await h.run(h.client.resume('jobs/interrupted'))
    await finishedTask(h, 'jobs/interrupted')
    for (const id of ['queued', 'waiting', 'interrupted'])
      expect(await seen(h, `jobs/${id}`)).toEqual(['done 1'])
  },
}

const children: Scenario = {
  name: 'children',
  machines: [machines.family],
  still: true,
  async build(h) {
    await start(h, 'family/a')
    await send(h, 'family/a', 'NOTE', { text: 'hello' })
    return undefined
  },
  async goOn(h) {
    expect(h.liveStarted).toMatchObject([{ address: 'family/a', childId: 'live', input: { a: 1 } }])
    await send(h, 'family/a', 'NOTE', { text: 'again' })
    expect((await get(h, 'family/a/sum')).context).toEqual({ n: 8 })
    expect(await seen(h, 'family/a/kid')).toEqual(['hello', 'again'])
    await h.advance(30_000)
    expect(await seen(h, 'family/a')).toEqual(['grown ["hello","again"]'])
    expect((await get(h, 'family/a')).children).toEqual(['family/a/sum'])
  },
}

const paused: Scenario = {
  name: 'paused',
  machines: [machines.jobs, machines.alarms],
  still: true,
  async build(h) {
    await start(h, 'jobs/a')
    await send(h, 'jobs/a', 'GO')
    const { taskId } = await theTask(h, 'jobs/a')
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(h.client.pause('jobs/a'))
    await send(h, 'jobs/a', 'NOTE', { text: '1' })
    await h.run(worker(h).done(taskId, token, 'late'))
    await send(h, 'jobs/a', 'NOTE', { text: '2' })
    await start(h, 'alarms/a')
    await send(h, 'alarms/a', 'SET', { by: 50, text: 'ring' })
    await h.run(h.client.pause('alarms/a', { reason: 'golden' }))
    await send(h, 'alarms/a', 'NOTE', { text: 'before' })
    await h.advance(100)
    await send(h, 'alarms/a', 'NOTE', { text: 'after' })
    return undefined
  },
  async goOn(h) {
    expect(await h.run(h.client.resume('jobs/a'))).toMatchObject({ kept: 0, value: 'idle' })
    expect(await seen(h, 'jobs/a')).toEqual(['1', 'done late', '2'])
    await h.run(h.client.resume('alarms/a'))
    expect(await seen(h, 'alarms/a')).toEqual(['before', 'ring', 'after'])
  },
}

const parked: Scenario = {
  name: 'parked',
  machines: [machines.flat, machines.jobs],
  still: true,
  async build(h) {
    await start(h, 'flat/a')
    await code(h, h.client.send('flat/a', { type: 'BAD' }))
    await send(h, 'flat/a', 'ADD', { by: 3 })
    await start(h, 'jobs/a')
    await send(h, 'jobs/a', 'GO')
    const { taskId } = await theTask(h, 'jobs/a')
    const { token } = await h.run(worker(h).start(taskId))
    await h.run(worker(h).fail(taskId, token, 'permanent', 'no such file'))
    return { taskId }
  },
  async goOn(h, { taskId }) {
    await h.run(h.client.resume('flat/a'))
    expect((await get(h, 'flat/a')).context).toMatchObject({ n: 3 })
    await h.run(h.client.resume('jobs/a'))
    expect((await theTask(h, 'jobs/a')).taskId).not.toBe(taskId)
    await finishedTask(h, 'jobs/a')
    expect(await seen(h, 'jobs/a')).toEqual(['done 1'])
  },
}

const finished: Scenario = {
  name: 'finished',
  machines: [machines.flat],
  still: true,
  async build(h) {
    for (const id of ['flat/done', 'flat/again', 'flat/stopped']) {
      await start(h, id)
      await send(h, id, 'NEXT')
    }
    for (const id of ['flat/done', 'flat/again']) await send(h, id, 'FINISH')
    await h.run(h.client.cancel('flat/stopped', { reason: 'golden' }))
    await start(h, 'flat/deleted')
    await h.run(h.client.delete('flat/deleted'))
    return undefined
  },
  async goOn(h) {
    expect(await code(h, h.client.send('flat/done', { type: 'NEXT' }))).toBe('finished')
    await h.run(h.client.resume('flat/again', { state: 'green' }))
    expect(await get(h, 'flat/again')).toMatchObject({ status: 'active', value: 'green' })
    const trail = await h.run(h.client.audit({}))
    expect(trail.map(({ operation }) => operation).sort()).toEqual(['cancel', 'delete', 'resume'])
    await h.advance(60_000)
    for (const id of ['flat/done', 'flat/stopped'])
      expect(await code(h, h.client.get(id))).toBe('unknown-actor')
    expect((await get(h, 'flat/again')).value).toBe('green')
  },
}

const rich: Scenario = {
  name: 'rich',
  machines: [machines.rich],
  still: true,
  async build(h) {
    await start(h, 'rich/a')
    await send(h, 'rich/a', 'PUT', { text: 'put', big: 12345678901234567890n })
    return undefined
  },
  async goOn(h) {
    await send(h, 'rich/a', 'PUT', { text: 'more', big: new Date(0) })
    const { context } = await get(h, 'rich/a')
    const { map, ...others } = context as { map: Map<unknown, unknown> }
    expect(map.get('put')).toBe(12345678901234567890n)
    expect(map.get('more')).toEqual(new Date(0))
    const { map: _map, ...declared } = (
      machines.rich.machine as unknown as { config: { context: { map: unknown } } }
    ).config.context
    const plain = (value: object) => ({
      ...value,
      bytes: [...(value as { bytes: Uint8Array }).bytes],
    })
    expect(plain(others)).toEqual(plain(declared))
  },
}

const SHARDS = 2
const on = (shard: number) => {
  for (let n = 0; ; n++) if (shardOf(`teller/${n}`, SHARDS) === shard) return `teller/${n}`
}

const tells: Scenario = {
  name: 'tells',
  machines: [machines.teller],
  still: false,
  async build(h) {
    const from = on(0)
    const to = on(1)
    for (const address of [from, to]) await start(h, address)
    await send(h, from, 'TELL', { to, by: 2, text: 'a' })
    await send(h, from, 'TELL', { to: 'teller/nobody', by: 1, text: 'x' })
    await h.advance(10_000)
    h.engines[1]!.stop()
    await send(h, from, 'TELL', { to, by: 3, text: 'b' })
    return undefined
  },
  async goOn(h) {
    await h.advance(5_000)
    expect(await seen(h, on(1))).toEqual(['a0', 'a1', 'b0', 'b1', 'b2'])
    expect(await seen(h, on(0))).toEqual(['dead teller/nobody'])
    expect(await h.run(h.client.deadLetters())).toHaveLength(1)
    await send(h, on(0), 'TELL', { to: on(1), by: 1, text: 'c' })
    await h.advance(100)
    expect((await seen(h, on(1))).at(-1)).toBe('c0')
  },
}

/** The rows at the first moment at which something is written to a table. */
function rowsAt(h: Harness, table: number): () => Notes {
  let found: Notes | undefined
  const write = h.store.write.bind(h.store)
  h.store.write = (transaction) => {
    const meant = transaction.writes.some(([key, value]) => key[2] === table && value !== null)
    write({
      ...transaction,
      flushed: () => {
        if (meant) found ??= rowsAsText(h)
        transaction.flushed?.()
      },
    })
  }
  return () => ({ rows: found })
}

const draining: Scenario = {
  name: 'draining',
  machines: [machines.alarms],
  limits: { stepsPerBatchMax: 2 },
  still: false,
  async build(h) {
    await start(h, 'alarms/a')
    await h.run(h.client.pause('alarms/a'))
    for (let n = 0; n < 6; n++) await send(h, 'alarms/a', 'NOTE', { text: `${n}` })
    const rows = rowsAt(h, TABLE.draining)
    await h.run(h.client.resume('alarms/a'))
    await h.advance(10)
    return rows()
  },
  async goOn(h) {
    await send(h, 'alarms/a', 'NOTE', { text: 'new' })
    await h.advance(10)
    expect(await seen(h, 'alarms/a')).toEqual(['0', '1', '2', '3', '4', '5', 'new'])
    expect((await get(h, 'alarms/a')).kept).toBe(0)
  },
}

const carried: Scenario = {
  name: 'carried',
  machines: [machines.crowd],
  limits: { stepsPerBatchMax: 3 },
  still: false,
  async build(h) {
    const rows = rowsAt(h, TABLE.outbox)
    await start(h, 'crowd/a')
    await h.advance(10)
    return rows()
  },
  async goOn(h) {
    await h.advance(10)
    const { rows } = await h.run(h.client.list({ filter: { children: true } }))
    expect(rows).toHaveLength(7)
    expect((await get(h, 'crowd/a')).children).toHaveLength(6)
  },
}

export const versioned: Scenario = {
  name: 'versioned',
  machines: [machines.versionedOne],
  still: true,
  async build(h) {
    for (const id of ['versioned/first', 'versioned/old']) {
      await start(h, id)
      await send(h, id, 'NOTE', { text: 'one' })
    }
    await send(h, 'versioned/old', 'GO')
    return undefined
  },
  async goOn(h) {
    await h.advance(20_000)
    expect((await get(h, 'versioned/old')).value).toBe('first')
  },
}

export const SCENARIOS: readonly Scenario[] = [
  flat,
  regions,
  timers,
  tasks,
  children,
  paused,
  parked,
  finished,
  rich,
  tells,
  draining,
  carried,
  versioned,
]
