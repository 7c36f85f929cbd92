/**
 * What `xstate/graph` says of a chart happens in the engine: every path, step by step, as callers,
 * workers and the clock bring it; and again with a crash and a restart between every two steps.
 */
import { describe, expect, it } from 'vitest'
import type { AnyMachineSnapshot } from 'xstate'
import type { ActorView } from '../../src/protocol/index.ts'
import type { Harness } from '../shard/harness.ts'
import { get, open, restart, send, start, worker } from '../shard/support.ts'
import { SUBJECTS, type Subject } from './machines.ts'
import { type Path, type PathStep, pathsOf, transitionsAlong, transitionsOf } from './paths.ts'

const PATHS_MAX = 40
const ADDRESS_ID = 'one'

/** The model and the engine say the same of an actor. */
function compare(view: ActorView, model: AnyMachineSnapshot): void {
  const { value, context, status, output } = model
  expect({ value: view.value, context: view.context, status: view.status }).toEqual({
    value,
    context,
    status,
  })
  expect(view.output).toEqual(output)
  expect(view).toMatchObject({ kept: 0 })
  expect(view.parked?.error.message).toBeUndefined()
}

async function bring(h: Harness, address: string, step: PathStep): Promise<void> {
  const { event, by } = step
  if (by === 'caller') {
    const { type, ...fields } = event
    await send(h, address, type, fields)
  } else if (by === 'clock') await ring(h, address, event.type)
  else await finish(h, address, step)
}

/** Moves the clock to the very millisecond, and looks the one before. */
async function ring(h: Harness, address: string, type: string): Promise<void> {
  const before = await get(h, address)
  const due = before.timers.filter((timer) => timer.event === type)
  expect(due).toHaveLength(1)
  const leftMs = due[0]!.dueAt - h.clock.now()
  if (leftMs > 1) await h.advance(leftMs - 1)
  expect((await get(h, address)).turn).toBe(before.turn)
  await h.advance(due[0]!.dueAt - h.clock.now())
}

/** As a worker: start, a heartbeat, and the end. */
async function finish(h: Harness, address: string, { event }: PathStep): Promise<void> {
  const hand = worker(h)
  const { tasks } = await get(h, address)
  const task = tasks.find(({ name }) => name === event['actorId'])
  expect(task).toMatchObject({ state: 'queued' })
  const { taskId } = task!
  const { token } = await h.run(hand.start(taskId))
  await h.run(hand.beat(taskId, token, 'half'))
  const { class: kind, message } = (event['error'] ?? {}) as { class: string; message: string }
  if (kind === undefined) await h.run(hand.done(taskId, token, event['output']))
  else await h.run(hand.fail(taskId, token, kind, message))
}

async function walk(subject: Subject, path: Path, crashes: boolean): Promise<void> {
  const machines = [subject.definition]
  const address = `${subject.definition.name}/${ADDRESS_ID}`
  let h = open(machines, { shardCount: 1 })
  await start(h, address)
  compare(await get(h, address), path.before)
  for (const step of path.steps) {
    if (crashes) h = restart(h, machines)
    await bring(h, address, step)
    if (crashes) h = restart(h, machines)
    compare(await get(h, address), step.after)
  }
  expect(h.stops).toEqual([])
}

describe.each(SUBJECTS.map((subject) => [subject.definition.name, subject] as const))(
  '%s',
  (_name, subject) => {
    const paths = pathsOf(subject, PATHS_MAX)

    it('has paths, none of them empty, that take every transition of the chart', () => {
      expect(paths.length).toBeGreaterThan(5)
      for (const { steps } of paths) expect(steps.length).toBeGreaterThan(0)
      const taken = new Set(paths.flatMap((path) => [...transitionsAlong(subject, path)]))
      const all = transitionsOf(subject)
      expect(all.length).toBeGreaterThan(5)
      expect(all.filter((name) => !taken.has(name))).toEqual([])
    })

    it('goes the way of the model', async () => {
      for (const path of paths) await named(path, () => walk(subject, path, false))
    })

    it('goes the way of the model with a crash between every two steps', async () => {
      for (const path of paths) await named(path, () => walk(subject, path, true))
    })
  },
)

/** A failure names the path that it happened on. */
async function named(path: Path, walked: () => Promise<void>): Promise<void> {
  try {
    await walked()
  } catch (thrown) {
    if (thrown instanceof Error) thrown.message = `on the path ${path.name}: ${thrown.message}`
    throw thrown
  }
}

it('would notice an engine that does something else', async () => {
  const [subject] = SUBJECTS
  const path = pathsOf(subject!, PATHS_MAX).find(({ steps }) => steps.length > 2)!
  const [first, ...others] = path.steps
  const wrong = { ...path, steps: [{ ...first!, after: others[0]!.after }, ...others] }
  await expect(walk(subject!, wrong, false)).rejects.toThrow()
})

it('would notice a transition that no path takes', () => {
  const [subject] = SUBJECTS
  const [path] = pathsOf(subject!, PATHS_MAX)
  const taken = transitionsAlong(subject!, path!)
  expect(transitionsOf(subject!).some((name) => !taken.has(name))).toBe(true)
})
