/**
 * Pause, park and resume against the model of control.ts: the order of kept events, nothing lost,
 * nothing applied while the actor holds. Random sequences, and every operation in every condition.
 */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { TroupeError, type TurnView } from '../../src/protocol/index.ts'
import type { Harness } from '../shard/harness.ts'
import { get, open, restart, start, worker } from '../shard/support.ts'
import { ctl, type Operation, Reference } from './control.ts'

const ADDRESS = 'ctl/a'
/** Leases are tested elsewhere: here no task may run out of time. */
const LIMITS = { leaseMs: 1_000_000_000 }

/** The actor in an engine, operated like the model. */
class Actor {
  h: Harness
  #notes = 0
  #held: { taskId: string; token: string } | undefined

  constructor(h: Harness) {
    this.h = h
  }

  async apply(operation: Operation): Promise<string> {
    try {
      return await this.#do(operation)
    } catch (thrown) {
      if (thrown instanceof TroupeError) return thrown.code
      throw thrown
    }
  }

  async #do(operation: Operation): Promise<string> {
    const { h } = this
    switch (operation.do) {
      case 'NOTE':
        return this.#send({ type: 'NOTE', text: `${this.#notes++}` })
      case 'BAD':
      case 'WORK':
      case 'ARM':
        return this.#send({ type: operation.do })
      case 'pause': {
        const { timers, interrupt } = operation
        await h.run(h.client.pause(ADDRESS, { timers, interrupt }))
        return 'ok'
      }
      case 'resume': {
        const { do: _do, ...options } = operation
        await h.run(h.client.resume(ADDRESS, options))
        return 'ok'
      }
      case 'start':
        return this.#start()
      case 'wait':
        await h.advance(operation.ms)
        return 'ok'
      case 'crash':
        this.h = restart(h, [ctl])
        await this.h.advance(0)
        return 'ok'
      default:
        return this.#report(operation.do)
    }
  }

  async #send(event: { type: string; text?: string }): Promise<string> {
    const view: TurnView = await this.h.run(this.h.client.send(ADDRESS, event))
    if (view.kept !== undefined) return `kept ${view.kept}`
    return view.handled ? 'ok' : 'ignored'
  }

  async #start(): Promise<string> {
    const [task] = (await get(this.h, ADDRESS)).tasks
    if (!task) return 'task-gone'
    const { token } = await this.h.run(worker(this.h).start(task.taskId))
    this.#held = { taskId: task.taskId, token }
    return 'ok'
  }

  async #report(kind: 'done' | 'aborted' | 'permanent'): Promise<string> {
    if (!this.#held) return 'nothing to report'
    const { taskId, token } = this.#held
    const hand = worker(this.h)
    if (kind === 'done') await this.h.run(hand.done(taskId, token, 1))
    else await this.h.run(hand.fail(taskId, token, kind))
    return 'ok'
  }
}

/** One operation on both, and a look at both. */
async function step(model: Reference, actor: Actor, operation: Operation): Promise<void> {
  const expected = model.apply(operation)
  expect(await actor.apply(operation)).toBe(expected)
  const view = await get(actor.h, ADDRESS)
  expect(actor.h.clock.now()).toBe(model.nowMs)
  expect((view.context as { seen: string[] }).seen).toEqual(model.seen)
  const { task, alarm } = model
  const taskState = task?.state === 'interrupted' ? 'waiting' : task?.state
  expect({
    value: view.value,
    kept: view.kept,
    paused: view.paused?.timers,
    parked: view.parked !== undefined,
    tasks: view.tasks.map(({ state }) => state),
    timers: view.timers.map(({ dueAt, frozenMs }) => [
      frozenMs === undefined ? dueAt : 0,
      frozenMs,
    ]),
  }).toEqual({
    value: model.state,
    kept: model.kept.length,
    paused: model.paused,
    parked: model.parked,
    tasks: taskState ? [taskState] : [],
    timers: alarm ? [timerOf(alarm)] : [],
  })
  expect(actor.h.stops).toEqual([])
}

function timerOf({ dueAt, frozenMs, kept }: NonNullable<Reference['alarm']>) {
  if (kept) return [0, -1]
  return frozenMs === undefined ? [dueAt, undefined] : [0, frozenMs]
}

async function begin(): Promise<{ model: Reference; real: Actor }> {
  const h = open([ctl], { shardCount: 1, limits: LIMITS })
  await start(h, ADDRESS)
  return { model: new Reference(h.clock.now()), real: new Actor(h) }
}

/** Whatever waits is stepped in the end, and every note was seen once, in the order of its arrival. */
async function finish(model: Reference, actor: Actor): Promise<void> {
  for (let tries = 0; model.holding && tries < 100; tries++)
    await step(model, actor, { do: 'resume' })
  const notes = model.seen.filter((text) => /^\d+$/.test(text))
  expect(notes).toEqual(Array.from({ length: model.notes }, (_, n) => `${n}`))
  const { from, to } = { from: Uint8Array.of(0, 0, 0x12), to: Uint8Array.of(0, 0, 0x13) }
  expect(actor.h.store.count(from, to)).toBe(0)
}

class Command implements fc.AsyncCommand<Reference, Actor> {
  readonly operation: Operation

  constructor(operation: Operation) {
    this.operation = operation
  }

  check(): boolean {
    return true
  }

  run(model: Reference, actor: Actor): Promise<void> {
    return step(model, actor, this.operation)
  }

  toString(): string {
    return JSON.stringify(this.operation)
  }
}

const PAUSES: Operation[] = (['run', 'freeze'] as const).flatMap((timers) =>
  [false, true].map((interrupt): Operation => ({ do: 'pause', timers, interrupt })),
)
const RESUMES: Operation[] = [
  { do: 'resume' },
  { do: 'resume', retry: true },
  { do: 'resume', state: 'idle' },
  { do: 'resume', state: 'working' },
]
const EVENTS: Operation[] = [{ do: 'NOTE' }, { do: 'BAD' }, { do: 'WORK' }, { do: 'ARM' }]
const WORK: Operation[] = [{ do: 'start' }, { do: 'done' }, { do: 'aborted' }, { do: 'permanent' }]
const TIME: Operation[] = [{ do: 'wait', ms: 400 }, { do: 'wait', ms: 1_000 }, { do: 'crash' }]
const ALL = [...PAUSES, ...RESUMES, ...EVENTS, ...WORK, ...TIME]

it('random operations go the way of the model', async () => {
  const operation = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...PAUSES) },
    { weight: 3, arbitrary: fc.constantFrom(...RESUMES) },
    { weight: 6, arbitrary: fc.constantFrom(...EVENTS) },
    { weight: 5, arbitrary: fc.constantFrom(...WORK) },
    { weight: 4, arbitrary: fc.constantFrom(...TIME) },
  )
  const commands = fc.commands([operation.map((one) => new Command(one))], {
    maxCommands: 40,
    size: '+1',
  })
  await fc.assert(
    fc.asyncProperty(commands, async (list) => {
      const both = await begin()
      await fc.asyncModelRun(() => both, list)
      await finish(both.model, both.real)
    }),
    { numRuns: 120 },
  )
})

/** Ways into each condition, with a task that is absent, waiting or running, and an alarm that is set. */
const TASKS: Operation[][] = [[], [{ do: 'WORK' }], [{ do: 'WORK' }, { do: 'start' }]]
const CONDITIONS: [name: string, way: Operation[]][] = [
  ['active', []],
  ['paused', [PAUSES[0]!]],
  ['paused with frozen timers', [PAUSES[2]!]],
  ['parked', [{ do: 'BAD' }]],
  ['parked and paused', [{ do: 'BAD' }, PAUSES[0]!]],
]

it.each(CONDITIONS)('every operation on an actor that is %s', async (name, way) => {
  const keptCounts = name === 'active' ? [0] : [0, 1, 2]
  for (const task of TASKS) {
    for (const kept of keptCounts) {
      const notes = Array.from({ length: kept }, (): Operation => ({ do: 'NOTE' }))
      const before: Operation[] = [{ do: 'ARM' }, ...task, ...way, ...notes]
      for (const operation of ALL) {
        const { model, real } = await begin()
        for (const one of [...before, operation]) await step(model, real, one)
        expect(real.h.engines).toHaveLength(1)
        await finish(model, real)
      }
    }
  }
})

it('would notice an event that is applied while the actor holds', async () => {
  const { model, real } = await begin()
  await step(model, real, PAUSES[0]!)
  model.seen.push('0')
  await expect(step(model, real, { do: 'NOTE' })).rejects.toThrow()
})
