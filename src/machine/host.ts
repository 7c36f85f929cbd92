/**
 * Registration: makes a definition hostable or refuses it, naming the place.
 *
 * Decides: what cannot be hosted durably. XState drops some things silently on restore; each of them is an error here instead, before the first actor exists.
 */
import type { AnyActorLogic, AnyStateMachine } from 'xstate'
import { isMachineName, jsonSchemaOf, type Limits } from '../protocol/index.ts'
import { chartHash } from './chart.ts'
import { checkChart, refuse } from './chart-checks.ts'
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
  checkSchemas(definition)
  checkMigrations(definition)
  return { definition, chart, retry: resolveRetry(definition.retry), tasks }
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
  checkChart(name, machine)
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
  if (task.leaseMs !== 'workerLostMs') checkWhole(name, place, 'leaseMs', task.leaseMs, 1)
  if (typeof task.timeoutMs === 'number') checkWhole(name, place, 'timeoutMs', task.timeoutMs, 1)
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

/** Callers write JSON, and are shown what they may write. */
function checkSchemas({ name, events, input }: MachineDefinition): void {
  const schemas = Object.entries(events).map(([type, schema]) => ({
    place: `event ${type}`,
    schema,
  }))
  if (input) schemas.push({ place: 'input', schema: input })
  for (const { place, schema } of schemas) {
    const outcome = jsonSchemaOf(schema)
    if ('schema' in outcome) continue
    const { at, why } = outcome.unsayable
    refuse(name, at === '' ? place : `${place}, field ${at}`, `no JSON Schema can say it: ${why}`)
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
    if (
      type.startsWith('troupe.') ||
      type.startsWith('xstate.') ||
      type.includes('*') ||
      type === ''
    )
      continue
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
