/**
 * Registration: makes a definition hostable or refuses it, naming the place.
 *
 * Decides: what cannot be hosted durably. XState drops some things silently on restore; each of them is an error here instead, before the first actor exists.
 */
import type { AnyActorLogic, AnyStateMachine, AnyStateNode } from 'xstate'
import { isMachineName, type Limits, TroupeError } from '../protocol/index.ts'
import { isMarkedAction } from './actions.ts'
import { chartHash, nodesOf, pathText } from './chart.ts'
import type { MachineDefinition } from './define.ts'
import { Chart, type Source } from './logic.ts'
import { type RetryPolicy, resolveRetry, wrongRetry } from './retry.ts'
import type { AnyTask, TaskAttempt, TaskLogic } from './task.ts'

/** A machine that can be hosted. */
export interface HostedMachine {
  readonly definition: MachineDefinition
  readonly chart: Chart
  readonly retry: RetryPolicy
  /** The tasks that it and its children invoke, by name. */
  readonly tasks: ReadonlyMap<string, AnyTask>
}

type LooseAction = unknown

/** @throws TroupeError `not-hosted`, with the place in the chart */
export function hostMachine(
  definition: MachineDefinition,
  limits: Pick<Limits, 'microstepsMax'>,
): HostedMachine {
  const { name, version } = definition
  if (!isMachineName(name)) {
    refuse(
      name,
      'id',
      'a machine needs an id of a letter and at most 63 letters, digits, "_" or "-"',
    )
  }
  if (!Number.isSafeInteger(version) || version < 1) {
    refuse(name, 'version', `a version is a whole number from 1, not ${String(version)}`)
  }
  checkDurations(definition)
  const tasks = new Map<string, AnyTask>()
  const charts = new Map<AnyStateMachine, Chart>()
  const chart = hostChart(name, definition.machine, limits, tasks, charts)
  checkEvents(definition)
  checkMigrations(definition)
  return { definition, chart, retry: resolveRetry(definition.retry), tasks }
}

function refuse(machine: string, place: string, why: string): never {
  throw new TroupeError('not-hosted', `machine ${machine} cannot be hosted: ${place}: ${why}`, {
    detail: { machine, place },
  })
}

/** Charts may spawn each other: each is hosted once. */
function hostChart(
  name: string,
  machine: AnyStateMachine,
  limits: Pick<Limits, 'microstepsMax'>,
  tasks: Map<string, AnyTask>,
  charts: Map<AnyStateMachine, Chart>,
): Chart {
  const known = charts.get(machine)
  if (known) return known
  for (const node of nodesOf(machine.root)) checkNode(name, machine, node)
  checkNamedActions(name, machine)
  checkSpawnText(name, 'context', machine.config.context)
  // A copy of our own: its options are set here, and the user's machine stays as it was.
  const own = machine.provide({}) as AnyStateMachine
  const userMax = machine.options.maxIterations ?? Number.POSITIVE_INFINITY
  own.options.maxIterations = Math.min(userMax, limits.microstepsMax)
  const sources = new Map<string, Source>()
  const chart = new Chart(own, chartHash(own), sources)
  charts.set(machine, chart)
  for (const [src, logic] of Object.entries(
    machine.implementations.actors as Record<string, AnyActorLogic>,
  )) {
    sources.set(src, toSource(name, src, logic, limits, tasks, charts))
  }
  return chart
}

function toSource(
  name: string,
  src: string,
  logic: AnyActorLogic,
  limits: Pick<Limits, 'microstepsMax'>,
  tasks: Map<string, AnyTask>,
  charts: Map<AnyStateMachine, Chart>,
): Source {
  const place = `actors.${src}`
  if ('root' in logic && 'implementations' in logic) {
    const child = logic as unknown as AnyStateMachine
    return { kind: 'machine', chart: hostChart(name, child, limits, tasks, charts) }
  }
  if ('troupeTask' in logic) {
    const task = (logic as unknown as TaskLogic<unknown, unknown>).troupeTask
    return { kind: 'task', task: addTask(name, place, task, tasks) }
  }
  if (!('start' in logic) || logic.start === undefined) return { kind: 'transition', logic }
  if (isPromiseLogic(logic)) {
    return { kind: 'task', task: addTask(name, place, promiseTask(`${name}.${src}`, logic), tasks) }
  }
  return { kind: 'live', logic }
}

function addTask(name: string, place: string, task: AnyTask, tasks: Map<string, AnyTask>): AnyTask {
  const known = tasks.get(task.name)
  if (known && known !== task && known.run !== task.run) {
    refuse(name, place, `another task is named ${task.name}`)
  }
  const wrong = wrongRetry(task.retry ?? {})
  if (wrong !== undefined) refuse(name, place, wrong)
  checkWhole(name, place, 'leaseMs', task.leaseMs, 1)
  checkWhole(name, place, 'timeoutMs', task.timeoutMs, 1)
  tasks.set(task.name, known ?? task)
  return known ?? task
}

/** XState does not say which logic is which; only a promise's settles on this event. */
function isPromiseLogic(logic: AnyActorLogic): boolean {
  try {
    const active = { status: 'active', output: undefined, error: undefined, input: undefined }
    const settled = logic.transition(
      active as never,
      { type: 'xstate.promise.resolve', data: undefined } as never,
      { self: {}, system: {}, emit() {} } as never,
    )
    return (settled as { status: string }).status === 'done'
  } catch {
    return false
  }
}

type PromiseCreator = (args: {
  input: unknown
  signal: AbortSignal
  self: unknown
  system: unknown
  emit: () => void
}) => PromiseLike<unknown>

/** A plain `fromPromise` as a task: it runs on the default queue, at least once. */
function promiseTask(taskName: string, logic: AnyActorLogic): AnyTask {
  const create = (logic as unknown as { config: PromiseCreator }).config
  return {
    name: taskName,
    run: (attempt: TaskAttempt<unknown>) =>
      Promise.resolve(
        create({
          input: attempt.input,
          signal: attempt.signal,
          self: { id: attempt.taskId },
          system: {},
          emit: () => {},
        }),
      ),
  }
}

function checkNode(name: string, machine: AnyStateMachine, node: AnyStateNode): void {
  const place = node.path.length === 0 ? 'root' : `state ${pathText(node)}`
  if (node.key.includes('.') && node.path.length > 0) {
    refuse(
      name,
      `state "${node.key}"`,
      'a state key must not hold a dot: paths are written with dots',
    )
  }
  if (node.path.length > 0 && (node.key === '' || node.key.includes('|'))) {
    refuse(name, `state "${node.key}"`, 'a state key must not be empty or hold "|"')
  }
  for (const { delay } of node.after) {
    if (
      typeof delay === 'string' &&
      Number.isNaN(Number(delay)) &&
      !(delay in machine.implementations.delays)
    ) {
      refuse(name, `${place}, after ${delay}`, 'the delay is not registered in setup({ delays })')
    }
  }
  checkActions(name, machine, `${place}, entry`, node.entry)
  checkActions(name, machine, `${place}, exit`, node.exit)
  if (node.initial) checkActions(name, machine, `${place}, initial`, node.initial.actions)
  const always = node.always ?? []
  for (const transition of [...[...node.transitions.values()].flat(), ...always]) {
    const on = `${place}, on ${transition.eventType || 'always'}`
    checkActions(name, machine, on, transition.actions)
    checkGuard(name, machine, on, transition.guard)
  }
  for (const invoke of node.invoke) checkInvoke(name, machine, place, invoke)
}

function checkInvoke(
  name: string,
  machine: AnyStateMachine,
  place: string,
  invoke: AnyStateNode['invoke'][number],
): void {
  const src: unknown = invoke.src
  if (typeof src !== 'string' || src.startsWith('xstate.invoke.')) {
    refuse(
      name,
      `${place}, invoke ${invoke.id}`,
      'inline actors have no name that survives: register it in setup({ actors }) and name it',
    )
  }
  if (!(src in machine.implementations.actors)) {
    refuse(name, `${place}, invoke ${src}`, 'the actor is not registered in setup({ actors })')
  }
  if (invoke.systemId !== undefined)
    refuse(name, `${place}, invoke ${src}`, 'systemId is not supported: address actors with tell()')
}

function checkActions(
  name: string,
  machine: AnyStateMachine,
  place: string,
  actions: readonly LooseAction[],
): void {
  for (const action of actions) {
    if (typeof action === 'string' || (typeof action === 'object' && action !== null)) {
      const type = typeof action === 'string' ? action : (action as { type: string }).type
      if (!(type in machine.implementations.actions)) {
        refuse(name, place, `action "${type}" is not registered in setup({ actions })`)
      }
    } else checkActionFunction(name, machine, place, action, true)
  }
}

function checkNamedActions(name: string, machine: AnyStateMachine): void {
  const { actions, guards } = machine.implementations
  for (const [type, action] of Object.entries(actions)) {
    checkActionFunction(name, machine, `actions.${type}`, action, false)
  }
  for (const [type, guard] of Object.entries(guards))
    checkGuard(name, machine, `guards.${type}`, guard)
}

/** Built-in actions are data; a plain function inside the chart has no name that survives. */
function checkActionFunction(
  name: string,
  machine: AnyStateMachine,
  place: string,
  action: unknown,
  inline: boolean,
): void {
  if (typeof action !== 'function' || isMarkedAction(action)) return
  const builtin = action as unknown as {
    type?: string
    resolve?: unknown
    assignment?: unknown
    src?: unknown
    id?: unknown
    systemId?: unknown
    delay?: unknown
  }
  if (builtin.resolve === undefined) {
    if (inline)
      refuse(
        name,
        place,
        'inline actions have no name that survives: register it in setup({ actions }) and name it',
      )
    return
  }
  const { delay } = builtin
  // XState would act at once.
  if (typeof delay === 'string' && !Object.hasOwn(machine.implementations.delays, delay))
    refuse(name, place, `the delay "${delay}" is not registered in setup({ delays })`)
  if (builtin.type === 'xstate.assign') checkSpawnText(name, place, builtin.assignment)
  if (builtin.type === 'xstate.spawnChild') {
    if (
      typeof builtin.src !== 'string' ||
      !Object.hasOwn(machine.implementations.actors, builtin.src)
    )
      refuse(name, place, 'spawnChild() needs the name of an actor registered in setup({ actors })')
    if (builtin.id === undefined)
      refuse(name, place, 'spawnChild() needs an id: without one the child has no address')
    if (builtin.systemId !== undefined)
      refuse(name, place, 'systemId is not supported: address actors with tell()')
  }
}

/**
 * `spawn()` inside a context factory or an `assign` leaves no trace but a live reference. The text of
 * the function shows it; what hides from this is caught by the step, which compares the children.
 */
function checkSpawnText(name: string, place: string, assignment: unknown): void {
  const functions =
    typeof assignment === 'object' && assignment !== null ? Object.values(assignment) : [assignment]
  for (const candidate of functions) {
    if (typeof candidate === 'function' && /\bspawn\b/.test(String(candidate))) {
      refuse(
        name,
        place,
        'spawn() is not recorded by XState: use the action spawnChild(), or invoke',
      )
    }
  }
}

function checkGuard(name: string, machine: AnyStateMachine, place: string, guard: unknown): void {
  if (guard === undefined) return
  if (typeof guard === 'function') {
    // and(), or(), not() hold the guards that they combine.
    const { guards } = guard as { guards?: unknown }
    if (Array.isArray(guards)) for (const inner of guards) checkGuard(name, machine, place, inner)
    return
  }
  const type = typeof guard === 'string' ? guard : (guard as { type: string }).type
  if (!(type in machine.implementations.guards)) {
    refuse(name, place, `guard "${type}" is not registered in setup({ guards })`)
  }
}

function checkEvents(definition: MachineDefinition): void {
  const { name, machine, events, internal } = definition
  for (const type of [...Object.keys(events), ...internal]) {
    if (
      type.startsWith('xstate.') ||
      type.startsWith('troupe.') ||
      type.includes('*') ||
      type === ''
    ) {
      refuse(
        name,
        `event ${type}`,
        'names that begin with "xstate." or "troupe.", or hold "*", are reserved',
      )
    }
  }
  for (const type of machine.events as string[]) {
    if (type === 'troupe.deadLetter') continue
    if (type.startsWith('troupe.'))
      refuse(name, `event ${type}`, 'names that begin with "troupe." are reserved')
    if (type.startsWith('xstate.') || type.includes('*') || type === '') continue
    if (!Object.hasOwn(events, type) && !internal.includes(type)) {
      refuse(
        name,
        `event ${type}`,
        'it has no schema: give one in `events`, or list it in `internal` if only the machine raises it',
      )
    }
  }
}

function checkDurations({ name, retry, retention }: MachineDefinition): void {
  const wrong = wrongRetry(retry)
  if (wrong !== undefined) refuse(name, 'retry', wrong)
  checkWhole(name, 'retention', 'finishedMs', retention.finishedMs, 0)
  checkWhole(name, 'retention', 'historyCount', retention.historyCount, 0)
}

/** The row of a timer holds whole milliseconds: one of a fraction would not be found by its row. */
function checkWhole(
  machine: string,
  place: string,
  field: string,
  value: number | undefined,
  min: number,
): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= min)) return
  refuse(machine, place, `${field} is a whole number from ${min}, not ${String(value)}`)
}

function checkMigrations(definition: MachineDefinition): void {
  for (const from of Object.keys(definition.migrations)) {
    const version = Number(from)
    if (!Number.isSafeInteger(version) || version < 1 || version >= definition.version) {
      refuse(
        definition.name,
        `migrations.${from}`,
        `a migration starts from a version below ${definition.version}`,
      )
    }
  }
}
