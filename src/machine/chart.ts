/**
 * Reading a statechart: its states, the tags of a position in it, its fingerprint.
 *
 * Decides: `a.b` names a state. Pure functions over XState's own tree of nodes. Leaves to others: how a position is
 * written (position.ts).
 */
import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  type AnyStateNode,
  getNextTransitions,
} from 'xstate'
import { hashText, type LegalEventView, type StateValue } from '../protocol/index.ts'

/** All nodes below and including `node`, parents before children, in document order. */
export function nodesOf(node: AnyStateNode): AnyStateNode[] {
  return [node, ...childrenOf(node).flatMap(nodesOf)]
}

export function childrenOf(node: AnyStateNode): AnyStateNode[] {
  return Object.values(node.states as Record<string, AnyStateNode>)
}

/** The path of a node as operators write it; empty for the root. */
export function pathText(node: AnyStateNode): string {
  return node.path.join('.')
}

/** The node at a path, or undefined. */
export function nodeAt(machine: AnyStateMachine, path: string): AnyStateNode | undefined {
  let node: AnyStateNode | undefined = machine.root
  if (path === '') return node
  for (const key of path.split('.')) {
    const states: Record<string, AnyStateNode> = node.states
    node = Object.hasOwn(states, key) ? states[key] : undefined
    if (!node) return undefined
  }
  return node
}

/** Every state that an actor can be resumed at, in document order. */
export function statePaths(machine: AnyStateMachine): string[] {
  return nodesOf(machine.root)
    .filter((node) => node.path.length > 0 && node.type !== 'history')
    .map(pathText)
}

/** The tags of a position. */
export function tagsOf(machine: AnyStateMachine, text: string): string[] {
  const tags = new Set<string>(machine.root.tags)
  for (const leaf of text.split('|')) {
    let node: AnyStateNode | undefined = machine.root
    for (const key of leaf.split('.')) {
      node = (node?.states as Record<string, AnyStateNode> | undefined)?.[key]
      for (const tag of node?.tags ?? []) tags.add(tag)
    }
  }
  return [...tags].sort()
}

/** True when the chart has this whole position: every named state exists and every region is named. */
export function hasPosition(machine: AnyStateMachine, value: StateValue): boolean {
  return fits(machine.root, value)
}

function fits(node: AnyStateNode, value: StateValue): boolean {
  const states: Record<string, AnyStateNode> = node.states
  const below = (key: string) => (Object.hasOwn(states, key) ? states[key] : undefined)
  if (typeof value === 'string') {
    const child = below(value)
    return child !== undefined && childrenOf(child).every((c) => c.type === 'history')
  }
  const keys = Object.keys(value)
  if (node.type === 'parallel') {
    const regions = childrenOf(node).filter((child) => child.type !== 'history')
    if (regions.length !== keys.length) return false
  } else if (keys.length !== 1) return keys.length === 0 && childrenOf(node).length === 0
  return keys.every((key) => {
    const child = below(key)
    const inner = value[key]
    return child !== undefined && inner !== undefined && fitsRegion(child, inner)
  })
}

function fitsRegion(node: AnyStateNode, value: StateValue): boolean {
  const empty = typeof value !== 'string' && Object.keys(value).length === 0
  return empty ? childrenOf(node).every((c) => c.type === 'history') : fits(node, value)
}

/** Whether the present position has a transition for this very type; wildcards do not count. */
export function namesEvent(snapshot: AnyMachineSnapshot, type: string): boolean {
  return (snapshot._nodes as AnyStateNode[]).some((node) => node.transitions.has(type))
}

interface LooseTransition {
  eventType: string
  target?: readonly AnyStateNode[]
  guard?: unknown
}

/** The events that the present position has transitions for; guards are not evaluated. */
export function legalEvents(
  snapshot: AnyMachineSnapshot,
  sendable: (type: string) => boolean,
): LegalEventView[] {
  const byType = new Map<string, LegalEventView>()
  for (const transition of getNextTransitions(snapshot) as readonly LooseTransition[]) {
    const type: string = transition.eventType
    if (type === '') continue
    const view = byType.get(type) ?? { type, targets: [], guarded: true, sendable: sendable(type) }
    for (const target of transition.target ?? []) {
      const path = pathText(target)
      if (!view.targets.includes(path)) view.targets.push(path)
    }
    if (!transition.guard) view.guarded = false
    byType.set(type, view)
  }
  return [...byType.values()].sort((a, b) => (a.type < b.type ? -1 : 1))
}

/**
 * A fingerprint of the chart: states, transitions, invocations. It changes with every change that a
 * stored position could notice, and not with the code of guards and actions.
 */
export function chartHash(machine: AnyStateMachine): string {
  const text = JSON.stringify(nodesOf(machine.root).map(describeNode))
  return hashText(text).toString(16).padStart(14, '0')
}

function describeNode(node: AnyStateNode): unknown {
  const transitions = [...node.transitions].map(([type, list]) => [
    type,
    list.map((transition) => (transition.target ?? []).map((target) => target.id)),
  ])
  return [
    node.id,
    node.type,
    node.initial?.target.map((target: AnyStateNode) => target.id) ?? null,
    transitions,
    node.invoke.map((invoke) => [invoke.id, String(invoke.src)]),
    [...node.tags].sort(),
  ]
}
