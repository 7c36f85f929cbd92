/**
 * Resume at a state and retry, done by the statechart itself.
 *
 * Decides: where in the chart a `troupe.goto` transition has to stand, so that exit and entry
 * actions, tasks, children and timers come and go as if the chart had asked. Charts are derived on
 * first use and kept; the chart that serves ordinary events is never touched.
 */
import { type AnyStateMachine, type AnyStateNode, and, createMachine } from 'xstate'
import { nodeAt } from './chart.ts'

/** The event of both; callers cannot send it, since names that begin with `troupe.` are refused. */
export const GOTO_EVENT = 'troupe.goto'

/** One transition to add: on the node with this path, to nodes with these ids. */
interface GotoTransition {
  target: string[]
  reenter: boolean
}

type Additions = Map<string, GotoTransition[]>

type LooseConfig = Record<string, unknown> & {
  on?: Record<string, unknown>
  states?: Record<string, LooseConfig>
}

/** Derived charts kept per machine: positions of a large parallel chart can be many. */
const DERIVED_MAX = 256

export class ReentryCharts {
  readonly #machine: AnyStateMachine
  readonly #derived = new Map<string, AnyStateMachine>()

  constructor(machine: AnyStateMachine) {
    this.#machine = machine
  }

  /** The chart in which `troupe.goto` leads to the state at `path`. */
  toState(path: string): AnyStateMachine {
    return this.#derive(`state ${path}`, () => gotoAdditions(this.#machine, path))
  }

  /**
   * The chart in which `troupe.goto` leaves and enters again the given leaves, and the states with
   * the ids of `also` (those whose task or child failed) with everything below them.
   */
  reenter(leaves: readonly AnyStateNode[], also: readonly AnyStateNode[]): AnyStateMachine {
    const key = [...leaves, ...also].map((node) => node.id).join('|')
    return this.#derive(`again ${leaves.length} ${key}`, () => reentryAdditions(leaves, also))
  }

  #derive(key: string, additions: () => Additions): AnyStateMachine {
    const known = this.#derived.get(key)
    if (known) return known
    const config = withAdditions(this.#machine.config as LooseConfig, '', additions())
    const machine = createMachine(config as never, this.#machine.implementations as never)
    Object.assign(machine.options, this.#machine.options)
    if (this.#derived.size >= DERIVED_MAX) {
      const oldest = this.#derived.keys().next().value
      if (oldest !== undefined) this.#derived.delete(oldest)
    }
    this.#derived.set(key, machine as unknown as AnyStateMachine)
    return machine as unknown as AnyStateMachine
  }
}

/**
 * On the root, and on every region (a child of a parallel state) above the target: the deepest one
 * that is active wins, so that sibling regions and what the root invokes are left alone.
 */
function gotoAdditions(machine: AnyStateMachine, path: string): Additions {
  const target = nodeAt(machine, path)
  const additions: Additions = new Map()
  if (!target) return additions
  for (let node: AnyStateNode | undefined = target; node; node = node.parent) {
    if (node !== target && (!node.parent || node.parent.type === 'parallel')) {
      additions.set(pathKey(node), [{ target: [idTarget(target)], reenter: false }])
    }
  }
  const isRegion = target.parent?.type === 'parallel'
  if (isRegion) {
    additions.set(pathKey(target), [{ target: [idTarget(target)], reenter: false }])
  }
  return additions
}

/**
 * From the parent of each node that has to be entered again to all leaves below that parent. For an
 * atomic region that is the parallel state, and XState leaves and enters the children of that together
 * or not at all: a transition of the region itself, to itself, has the parallel state as its domain
 * (`getTransitionDomain`). So its siblings are entered anew from their tops, at the same leaves; where
 * nothing would come of entering it, it is left out instead.
 */
function reentryAdditions(
  leaves: readonly AnyStateNode[],
  also: readonly AnyStateNode[],
): Additions {
  const sources = new Set<AnyStateNode>()
  let wholeChart: AnyStateNode | undefined
  for (const node of [...leaves, ...also]) {
    if (isIdleRegion(node)) continue
    if (node.parent) sources.add(node.parent)
    else wholeChart = node
  }
  if (wholeChart) {
    return new Map([[pathKey(wholeChart), [{ target: leaves.map(idTarget), reenter: true }]]])
  }
  const additions: Additions = new Map()
  for (const source of sources) {
    if ([...sources].some((other) => other !== source && isBelow(source, other))) continue
    const target = leaves.filter((leaf) => isBelow(leaf, source)).map(idTarget)
    additions.set(pathKey(source), [{ target, reenter: false }])
  }
  return additions
}

/** Nothing happens when it is left and entered; `after` is an entry and an exit, too. */
function isIdleRegion({ parent, type, entry, exit, invoke }: AnyStateNode): boolean {
  const does = entry.length + exit.length + invoke.length > 0
  return parent?.type === 'parallel' && type === 'atomic' && !does
}

function isBelow(node: AnyStateNode, ancestor: AnyStateNode): boolean {
  for (let at = node.parent; at; at = at.parent) if (at === ancestor) return true
  return false
}

/** The leaves of a live snapshot. */
export function activeLeaves(nodes: readonly AnyStateNode[]): AnyStateNode[] {
  const parents = new Set(nodes.map((node) => node.parent))
  return nodes.filter((node) => !parents.has(node))
}

/** The node whose `invoke` has this id, if it is active. */
export function invokingNode(
  nodes: readonly AnyStateNode[],
  childId: string,
): AnyStateNode | undefined {
  return nodes.find((node) => node.invoke.some((invoke) => invoke.id === childId))
}

function pathKey(node: AnyStateNode): string {
  return node.path.join('.')
}

/** By the root's id and the path: custom ids may hold anything. */
function idTarget(node: AnyStateNode): string {
  return [`#${node.machine.id.replace(/[\\.]/g, '\\$&')}`, ...node.path].join('.')
}

/** A copy of the configuration with the transitions added, and every `*` closed to our event. */
function withAdditions(config: LooseConfig, path: string, additions: Additions): LooseConfig {
  const copy: LooseConfig = { ...config }
  const added = additions.get(path)
  const wildcard = config.on && Object.hasOwn(config.on, '*')
  if (added || wildcard) {
    copy.on = { ...config.on }
    if (wildcard) copy.on['*'] = closedToGoto(config.on?.['*'])
    if (added) copy.on[GOTO_EVENT] = added
  }
  if (config.states) {
    copy.states = Object.fromEntries(
      Object.entries(config.states).map(([key, state]) => [
        key,
        withAdditions(state, path === '' ? key : `${path}.${key}`, additions),
      ]),
    )
  }
  return copy
}

const notGoto = ({ event }: { event: { type: string } }): boolean => event.type !== GOTO_EVENT

function closedToGoto(transition: unknown): unknown {
  const list = Array.isArray(transition) ? transition : [transition]
  return list.map((entry: unknown) => {
    const config =
      typeof entry === 'string' ? { target: entry } : { ...(entry as object | undefined) }
    const guard = (config as { guard?: unknown }).guard
    return { ...config, guard: guard === undefined ? notGoto : and([notGoto, guard as never]) }
  })
}
