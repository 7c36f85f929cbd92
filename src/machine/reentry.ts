/**
 * Resume at a state and retry, done by the statechart itself.
 *
 * Decides: where in the chart a `troupe.goto` transition has to stand, so that exit and entry
 * actions, tasks, children and timers come and go as if the chart had asked. Charts are derived on
 * first use and kept; the chart that serves ordinary events is never touched.
 */
import { type AnyStateMachine, type AnyStateNode, and, createMachine } from 'xstate'
import { invariant } from '../protocol/index.ts'
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

  /** The chart in which `troupe.goto` leads to the state at `path`, and leaves alone what is beside it. */
  toState(path: string): AnyStateMachine {
    return this.#derive(`state ${path}`, () => gotoAdditions(this.#nodeAt(path)))
  }

  /** The same, which also enters again the states of `failed` that it would not leave. */
  toStateAgain(
    path: string,
    leaves: readonly AnyStateNode[],
    failed: readonly AnyStateNode[],
  ): AnyStateMachine {
    const key = `again at ${path} ${idsOf(leaves)} ${idsOf(failed)}`
    return this.#derive(key, () => gotoAgainAdditions(this.#nodeAt(path), leaves, failed))
  }

  /**
   * The chart in which `troupe.goto` enters everything: the state at `path`, and of the regions beside
   * it the given leaves, or what they begin with.
   */
  anew(path: string, leaves: readonly AnyStateNode[]): AnyStateMachine {
    return this.#derive(`anew at ${path} ${idsOf(leaves)}`, () => {
      const target = this.#nodeAt(path)
      return wholeChart([target, ...besideOf(target, leaves)])
    })
  }

  /**
   * The chart in which `troupe.goto` leaves and enters again the given leaves, and the states with
   * the ids of `also` (those whose task or child failed) with everything below them.
   */
  reenter(leaves: readonly AnyStateNode[], also: readonly AnyStateNode[]): AnyStateMachine {
    const key = `again ${idsOf(leaves)} ${idsOf(also)}`
    return this.#derive(key, () => reentryAdditions(leaves, also))
  }

  #nodeAt(path: string): AnyStateNode {
    const node = nodeAt(this.#machine, path)
    invariant(node !== undefined, 'who asks has looked the state up')
    return node
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
function gotoAdditions(target: AnyStateNode): Additions {
  const goto = { target: [idTarget(target)], reenter: false }
  return new Map(gotoSources(target).map((node) => [pathKey(node), [goto]]))
}

/** From the target up; a region that is the target itself starts anew. */
function gotoSources(target: AnyStateNode): AnyStateNode[] {
  return [target, ...ancestorsOf(target)].filter(
    ({ parent }) => parent === undefined || parent.type === 'parallel',
  )
}

/**
 * A state that failed is entered again from its parent, as a retry does it. What lies above the move
 * takes it along: then the leaves beside it are entered again as well.
 */
function gotoAgainAdditions(
  target: AnyStateNode,
  leaves: readonly AnyStateNode[],
  failed: readonly AnyStateNode[],
): Additions {
  const wanted = [target, ...besideOf(target, leaves)]
  const active = new Set(leaves.flatMap((leaf) => [leaf, ...ancestorsOf(leaf)]))
  const mover = gotoSources(target).find((node) => active.has(node)) ?? target.machine.root
  const sources = new Set([mover])
  for (const node of failed) {
    if (isBelow(node, mover)) continue
    if (!node.parent) return wholeChart(wanted)
    sources.add(node.parent)
  }
  const additions: Additions = new Map()
  for (const source of highestOf(sources)) {
    const moves = source === mover || isBelow(mover, source)
    const inside = (moves ? wanted : leaves).filter((node) => isBelow(node, source))
    const targets = source === target ? [target] : inside
    additions.set(pathKey(source), [{ target: targets.map(idTarget), reenter: false }])
  }
  return additions
}

/** The leaves of the regions beside a state: those that part from it at a parallel state. */
function besideOf(target: AnyStateNode, leaves: readonly AnyStateNode[]): AnyStateNode[] {
  const above = new Set(ancestorsOf(target))
  return leaves.filter((leaf) => {
    const line = [leaf, ...ancestorsOf(leaf)]
    if (line.includes(target)) return false
    return line.find((node) => above.has(node))?.type === 'parallel'
  })
}

/** Leaves everything there is, the root included, and enters the root with these. */
function wholeChart(targets: readonly AnyStateNode[]): Additions {
  return new Map([['', [{ target: targets.map(idTarget), reenter: true }]]])
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
  for (const node of [...leaves, ...also]) {
    if (isIdleRegion(node)) continue
    if (!node.parent) return wholeChart(leaves)
    sources.add(node.parent)
  }
  const additions: Additions = new Map()
  for (const source of highestOf(sources)) {
    const target = leaves.filter((leaf) => isBelow(leaf, source)).map(idTarget)
    additions.set(pathKey(source), [{ target, reenter: false }])
  }
  return additions
}

/** Those that lie below none of the others. */
function highestOf(nodes: ReadonlySet<AnyStateNode>): AnyStateNode[] {
  return [...nodes].filter((node) => ![...nodes].some((other) => isBelow(node, other)))
}

/** Nothing happens when it is left and entered; `after` is an entry and an exit, too. */
function isIdleRegion({ parent, type, entry, exit, invoke }: AnyStateNode): boolean {
  const does = entry.length + exit.length + invoke.length > 0
  return parent?.type === 'parallel' && type === 'atomic' && !does
}

function isBelow(node: AnyStateNode, ancestor: AnyStateNode): boolean {
  return ancestorsOf(node).includes(ancestor)
}

/** From the parent up to the root. */
function ancestorsOf(node: AnyStateNode): AnyStateNode[] {
  return node.parent ? [node.parent, ...ancestorsOf(node.parent)] : []
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

function idsOf(nodes: readonly AnyStateNode[]): string {
  return JSON.stringify(nodes.map((node) => node.id))
}

function pathKey(node: AnyStateNode): string {
  return node.path.join('.')
}

/** By the root's id and the path: custom ids may hold anything. */
function idTarget(node: AnyStateNode): string {
  const keys = [node.machine.id, ...node.path].map((key) => key.replace(/[\\.]/g, '\\$&'))
  return `#${keys.join('.')}`
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
