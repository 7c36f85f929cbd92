/**
 * What a chart must not hold to be hosted durably. Decides: the refusals, each with its place in the
 * chart. Leaves to others: tasks, events and versions of the machine (host.ts).
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate'
import { TroupeError } from '../protocol/index.ts'
import { isMarkedAction } from './actions.ts'
import { nodesOf, pathText } from './chart.ts'
import { STARTED_PREFIX } from './task.ts'

type LooseAction = unknown

export function refuse(machine: string, place: string, why: string): never {
  throw new TroupeError('not-hosted', `machine ${machine} cannot be hosted: ${place}: ${why}`, {
    detail: { machine, place },
  })
}

/** @throws TroupeError `not-hosted` */
export function checkChart(name: string, machine: AnyStateMachine): void {
  const nodes = nodesOf(machine.root)
  checkIds(name, nodes)
  for (const node of nodes) checkNode(name, machine, node)
  checkNamedActions(name, machine)
  checkSpawnText(name, 'context', machine.config.context)
}

function placeOf(node: AnyStateNode): string {
  return node.path.length === 0 ? 'root' : `state ${pathText(node)}`
}

/** XState keeps one of them: timers, history and the ends of the others would be taken for its own. */
function checkIds(name: string, nodes: readonly AnyStateNode[]): void {
  const known = new Map<string, AnyStateNode>()
  for (const node of nodes) {
    const other = known.get(node.id)
    if (other) refuse(name, placeOf(node), `${placeOf(other)} has the id "${node.id}" already`)
    known.set(node.id, node)
  }
}

/** One that does nothing would still be in the way of an operator. */
function checkReserved(name: string, node: AnyStateNode): void {
  for (const type of node.transitions.keys()) {
    if (type === 'troupe.deadLetter' || type.startsWith(STARTED_PREFIX)) continue
    if (type.startsWith('troupe.'))
      refuse(name, `event ${type}`, 'names that begin with "troupe." are reserved')
  }
}

function checkNode(name: string, machine: AnyStateMachine, node: AnyStateNode): void {
  const place = placeOf(node)
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
  if (node.path.length > 0 && node.key.startsWith('#')) {
    refuse(
      name,
      `state "${node.key}"`,
      'a state key must not begin with "#": XState takes it for an id',
    )
  }
  checkReserved(name, node)
  for (const { delay } of node.after) {
    if (
      typeof delay === 'string' &&
      Number.isNaN(Number(delay)) &&
      !Object.hasOwn(machine.implementations.delays, delay)
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
  if (!Object.hasOwn(machine.implementations.actors, src)) {
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
      if (!Object.hasOwn(machine.implementations.actions, type)) {
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
  if (!Object.hasOwn(machine.implementations.guards, type)) {
    refuse(name, place, `guard "${type}" is not registered in setup({ guards })`)
  }
}
