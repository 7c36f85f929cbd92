/**
 * A snapshot at rest and in motion. Decides: the stored form of a position, context and history of
 * states, and how it becomes a live XState snapshot again (2 µs, no actor is created).
 */
import type { AnyMachineSnapshot, AnyStateMachine, AnyStateNode } from 'xstate'
import { invariant, type StateValue } from '../protocol/index.ts'
import { pathText } from './chart.ts'

/** What of a snapshot is stored; children and timers are rows of the engine. */
export interface StoredSnapshot {
  value: StateValue
  context: unknown
  /** Ids of the states that each history state remembers. */
  historyValue: Record<string, string[]> | null
  status: 'active' | 'done'
  output: unknown
}

export function dehydrate(snapshot: AnyMachineSnapshot): StoredSnapshot {
  invariant(snapshot.status === 'active' || snapshot.status === 'done', 'only these are stored')
  return {
    value: snapshot.value as StateValue,
    context: snapshot.context,
    historyValue: historyIds(snapshot.historyValue as Record<string, AnyStateNode[]>),
    status: snapshot.status,
    output: snapshot.output,
  }
}

function historyIds(history: Record<string, AnyStateNode[]>): Record<string, string[]> | null {
  const keys = Object.keys(history)
  if (keys.length === 0) return null
  return Object.fromEntries(keys.map((key) => [key, (history[key] ?? []).map((node) => node.id)]))
}

/** @param children refs by id, for `sendTo` and `stopChild` */
export function rehydrate(
  machine: AnyStateMachine,
  stored: StoredSnapshot,
  children: Record<string, unknown>,
): AnyMachineSnapshot {
  const { status } = stored
  const snapshot = machine.resolveState({
    value: stored.value,
    context: stored.context,
    historyValue: historyNodes(machine, stored.historyValue),
    status,
    output: stored.output,
  } as Parameters<AnyStateMachine['resolveState']>[0]) as AnyMachineSnapshot
  const mutable = snapshot as { status: string; children: Record<string, unknown> }
  // XState takes whatever stands in final states for done.
  mutable.status = status
  mutable.children = children
  putInDocumentOrder(snapshot)
  return snapshot
}

/**
 * XState goes through regions in the order in which their states were entered, and of two transitions
 * that exclude each other the first one wins. What is stored does not say that order, so an actor could
 * go one way while it is in memory and another from disk. The order of the chart is the rule instead,
 * as SCXML has it.
 */
export function putInDocumentOrder(snapshot: AnyMachineSnapshot): void {
  const nodes = snapshot._nodes as AnyStateNode[]
  if (nodes.every((node, i) => i === 0 || (nodes[i - 1] as AnyStateNode).order < node.order)) return
  nodes.sort((a, b) => a.order - b.order)
  const mutable = snapshot as { value: StateValue }
  mutable.value = valueInOrder(snapshot.machine.root, mutable.value)
}

function valueInOrder(node: AnyStateNode, value: StateValue): StateValue {
  if (typeof value === 'string') return value
  const ordered: Record<string, StateValue> = {}
  for (const [key, child] of Object.entries(node.states as Record<string, AnyStateNode>)) {
    const below = value[key]
    if (below !== undefined) ordered[key] = valueInOrder(child, below)
  }
  return ordered
}

/** In no state at all, with its context and what history states remember: nothing is left from here. */
export function nowhere(
  machine: AnyStateMachine,
  { context, historyValue }: StoredSnapshot,
): AnyMachineSnapshot {
  const stored: StoredSnapshot = {
    value: {},
    context,
    historyValue,
    status: 'active',
    output: undefined,
  }
  // An empty value means the initial states to XState.
  return Object.assign(rehydrate(machine, stored, {}), { _nodes: [], value: {} })
}

/** Why the active states are no position of the chart, which the value hides; undefined when they are one. */
export function flawIn(snapshot: AnyMachineSnapshot): string | undefined {
  const active = new Set(snapshot._nodes as AnyStateNode[])
  const chosen = new Map<AnyStateNode, AnyStateNode>()
  for (const node of active) {
    const { parent } = node
    if (!parent) continue
    if (!active.has(parent)) {
      return `the state ${pathText(parent)} was left, and ${pathText(node)} inside it was entered`
    }
    const rival = parent.type === 'compound' ? chosen.get(parent) : undefined
    if (rival) {
      return `the states ${pathText(rival)} and ${pathText(node)} were entered both, and exclude each other`
    }
    chosen.set(parent, node)
  }
  return undefined
}

/** Ids that the chart no longer has are left out: the history state falls back to its default. */
function historyNodes(
  machine: AnyStateMachine,
  history: Record<string, string[]> | null,
): Record<string, AnyStateNode[]> {
  if (!history) return {}
  // XState keeps this map for itself; the public look-up throws for ids that are gone.
  const { idMap } = machine as unknown as { idMap: Map<string, AnyStateNode> }
  const nodes: Record<string, AnyStateNode[]> = {}
  for (const [key, ids] of Object.entries(history)) {
    nodes[key] = ids.flatMap((id) => {
      const node = idMap.get(id)
      return node ? [node] : []
    })
    if (nodes[key].length === 0) delete nodes[key]
  }
  return nodes
}
