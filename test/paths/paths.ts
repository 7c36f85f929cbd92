/**
 * Paths through a chart, from `xstate/graph`, reduced to those that can happen: a timer can only ring
 * when it is set and the next one due, and a task can only end while it runs. And which transitions
 * of the chart a path takes, seen by inspecting XState's own interpreter.
 */
import {
  type AnyMachineSnapshot,
  type AnyStateNode,
  createActor,
  type InspectionEvent,
  initialTransition,
  SimulatedClock,
  transition,
} from 'xstate'
import { getShortestPaths, getSimplePaths } from 'xstate/graph'
import { nodesOf } from '../../src/machine/chart.ts'
import { STARTED_PREFIX } from '../../src/machine/task.ts'
import type { EventObject } from '../../src/protocol/index.ts'
import type { Subject } from './machines.ts'

export interface PathStep {
  event: EventObject
  /** Who brings it. */
  by: 'caller' | 'worker' | 'clock'
  after: AnyMachineSnapshot
}

export interface Path {
  name: string
  before: AnyMachineSnapshot
  steps: PathStep[]
}

interface Timer {
  id: string
  type: string
  dueAt: number
}

/** A chart and what is around it: the clock, the timers that are set, the tasks that it wants. */
interface World {
  status: 'active' | 'done'
  at: AnyMachineSnapshot
  nowMs: number
  /** The next one first. */
  timers: readonly Timer[]
  tasks: readonly string[]
  /** Those of them that a worker has begun, where the chart is told of it. */
  begun: readonly string[]
}

interface Action {
  type: string
  params?: unknown
}

/** What XState's actions ask for. */
function around(
  before: World | undefined,
  at: AnyMachineSnapshot,
  actions: readonly Action[],
): World {
  const nowMs = before?.nowMs ?? 0
  let timers = [...(before?.timers ?? [])]
  const tasks = new Set(before?.tasks)
  const begun = new Set(before?.begun)
  for (const { type, params } of actions) {
    const given = params as { id: string; delay?: number; event: EventObject; sendId: string }
    if (type === 'xstate.raise' && given.delay !== undefined) {
      const timer = { id: given.id, type: given.event.type, dueAt: nowMs + given.delay }
      timers = [...timers.filter(({ id }) => id !== given.id), timer]
    } else if (type === 'xstate.cancel') timers = timers.filter(({ id }) => id !== given.sendId)
    else if (type === 'xstate.spawnChild') tasks.add(given.id)
    else if (type === 'xstate.stopChild') {
      tasks.delete(given.id)
      begun.delete(given.id)
    }
  }
  const status = at.status === 'active' ? 'active' : 'done'
  timers.sort((a, b) => a.dueAt - b.dueAt)
  return { status, at, nowMs, timers, tasks: [...tasks], begun: [...begun] }
}

/** Who can bring this event now, if anybody. */
function bringer(
  subject: Subject,
  world: World,
  { type }: EventObject,
): PathStep['by'] | undefined {
  if (world.status !== 'active') return undefined
  const ended = endedBy(type)
  if (ended !== undefined) {
    const runs = tellsStart(subject, ended) ? world.begun : world.tasks
    return runs.includes(ended) ? 'worker' : undefined
  }
  const started = startedBy(type)
  if (started !== undefined) {
    const waits = world.tasks.includes(started) && !world.begun.includes(started)
    return waits ? 'worker' : undefined
  }
  if (!subject.timed.includes(type)) return 'caller'
  const [next, second] = world.timers
  // Two that are due together would both ring before anybody can look.
  return next?.type === type && next.dueAt !== second?.dueAt ? 'clock' : undefined
}

function endedBy(type: string): string | undefined {
  return /^xstate\.(?:done|error)\.actor\.(.+)$/.exec(type)?.[1]
}

function startedBy(type: string): string | undefined {
  return type.startsWith(STARTED_PREFIX) ? type.slice(STARTED_PREFIX.length) : undefined
}

function tellsStart({ events }: Subject, taskId: string): boolean {
  return events.some(({ type }) => startedBy(type) === taskId)
}

/** The chart with its world as a logic of its own: `xstate/graph` explores any logic. */
function logicOf(subject: Subject) {
  const { machine, input } = subject
  return {
    getInitialSnapshot: (): World => {
      const [at, actions] = initialTransition(machine, input as never)
      return around(undefined, at as AnyMachineSnapshot, actions as Action[])
    },
    transition: (world: World, event: EventObject): World => {
      const [first, ...others] = world.timers
      const ended = endedBy(event.type)
      const started = startedBy(event.type)
      const rings = subject.timed.includes(event.type) && first !== undefined
      const before: World = {
        ...world,
        nowMs: rings ? first.dueAt : world.nowMs,
        timers: rings ? others : world.timers,
        tasks: world.tasks.filter((id) => id !== ended),
        begun: [...world.begun.filter((id) => id !== ended), ...(started ? [started] : [])],
      }
      const [at, actions] = transition(machine, world.at as never, event as never)
      return around(before, at as AnyMachineSnapshot, actions as Action[])
    },
  }
}

/** What is told apart: also what each history state remembers, and how long each timer has left. */
function keyOf(subject: Subject, { at, nowMs, timers, tasks, begun }: World): string {
  const memory = Object.values(at.historyValue as Record<string, AnyStateNode[]>)
  return JSON.stringify([
    at.value,
    at.status,
    memory.map((nodes) => nodes.map(({ id }) => id)),
    timers.map(({ type, dueAt }) => [type, dueAt - nowMs]),
    tasks,
    begun,
    subject.stateKey(at.context),
  ])
}

/**
 * The shortest path to every position, each gone on with every event that can come there; for charts
 * that have few of them all simple paths as well. Thinned to a number that can be walked.
 */
export function pathsOf(subject: Subject, countMax: number): Path[] {
  const logic = logicOf(subject)
  const canCome = (world: World) =>
    subject.events.filter((event) => {
      if (bringer(subject, world, event) === undefined) return false
      // Without a way out the machine fails: that is parking, and tested as that.
      return logic.transition(world, event).at.status !== 'error'
    })
  const options = {
    events: canCome,
    serializeState: (world: World) => keyOf(subject, world),
    limit: 20_000,
  }
  const eventsOf = ({ steps }: { steps: readonly { event: EventObject }[] }) =>
    steps.map(({ event }) => event).filter(({ type }) => type !== 'xstate.init')
  const explore = (search: typeof getShortestPaths) =>
    search(logic as never, options as never) as {
      state: unknown
      steps: { event: EventObject }[]
    }[]
  const shortest = explore(getShortestPaths)
  const lists = shortest.flatMap((path) => {
    const events = eventsOf(path)
    return [events, ...canCome(path.state as World).map((event) => [...events, event])]
  })
  if (subject.simple) lists.push(...explore(getSimplePaths as never).map(eventsOf))
  const paths = new Map<string, Path>()
  for (const list of lists) {
    const path = retrace(subject, list)
    if (path.steps.length > 0) paths.set(path.name, path)
  }
  return thin(subject, [...paths.values()], countMax)
}

function retrace(subject: Subject, events: readonly EventObject[]): Path {
  const logic = logicOf(subject)
  let world = logic.getInitialSnapshot()
  const before = world.at
  const steps = events.map((event): PathStep => {
    const by = bringer(subject, world, event)
    if (!by) throw new Error(`nobody can bring ${event.type} here`)
    world = logic.transition(world, event)
    return { event, by, after: world.at }
  })
  return { name: events.map(({ type }) => type).join(' '), before, steps }
}

/**
 * Paths that are the beginning of others say nothing of their own. Of the rest first those that take
 * a transition that no path before them takes, then an even choice.
 */
function thin(subject: Subject, paths: readonly Path[], countMax: number): Path[] {
  const names = paths.map(({ name }) => name).sort()
  const next = new Map(names.map((name, at) => [name, names[at + 1]]))
  const whole = paths.filter(({ name }) => !next.get(name)?.startsWith(`${name} `))
  const missing = new Set(transitionsOf(subject))
  const needed: Path[] = []
  for (const path of whole) {
    if (missing.size === 0) break
    const fresh = [...transitionsAlong(subject, path)].filter((name) => missing.delete(name))
    if (fresh.length > 0) needed.push(path)
  }
  const others = whole.filter((path) => !needed.includes(path))
  const room = Math.min(others.length, Math.max(0, countMax - needed.length))
  const chosen = Array.from(
    { length: room },
    (_, n) => others[Math.floor((n * others.length) / room)]!,
  )
  return [...needed, ...chosen]
}

/** Every transition of the chart, as `source: event → targets`. */
export function transitionsOf(subject: Subject): string[] {
  return nodesOf(subject.machine.root).flatMap((node) =>
    [...[...node.transitions.values()].flat(), ...(node.always ?? [])]
      // `OFF: undefined` forbids an event and leads nowhere.
      .filter(({ target, actions }) => target !== undefined || actions.length > 0)
      .map((one) => transitionName(one as LooseTransition)),
  )
}

interface LooseTransition {
  source: AnyStateNode
  eventType: string
  target?: readonly AnyStateNode[]
  actions: readonly unknown[]
}

function transitionName({ source, eventType, target, actions }: LooseTransition): string {
  const to = (target ?? []).map(({ id }) => id).join(', ')
  const does = actions.map((action) => (typeof action === 'string' ? action : '…')).join(', ')
  return `${source.id}: ${eventType || 'always'} → ${to || 'here'}${does ? ` / ${does}` : ''}`
}

/** The transitions that XState takes along a path. */
export function transitionsAlong(subject: Subject, path: Path): Set<string> {
  const taken = new Set<string>()
  const inspect = (event: InspectionEvent) => {
    if (event.type !== '@xstate.microstep') return
    for (const one of event._transitions) taken.add(transitionName(one as LooseTransition))
  }
  const { machine, input } = subject
  const actor = createActor(machine, {
    clock: new SimulatedClock(),
    inspect,
    input: input as never,
  })
  // A failure of the machine is parking, and tested as that.
  actor.subscribe({ error: () => {} })
  actor.start()
  for (const { event } of path.steps) actor.send(event as never)
  actor.stop()
  return taken
}
