/**
 * A chart as a Mermaid state diagram, for people. Decides: the drawing; a given position is marked.
 */
import type { AnyStateMachine, AnyStateNode } from 'xstate'
import { childrenOf, pathText } from './chart.ts'
import { isInState } from './position.ts'

/** @param current the position to mark, as `stateText` gives it */
export function mermaid(machine: AnyStateMachine, current?: string): string {
  const lines = ['stateDiagram-v2']
  drawChildren(machine.root, '  ', lines)
  drawTransitions(machine.root, lines)
  if (current !== undefined) {
    lines.push('  classDef current fill:#fd6,stroke:#b80,stroke-width:3px')
    for (const node of allBelow(machine.root)) {
      if (isInState(current, pathText(node)) && childrenOf(node).length === 0) {
        lines.push(`  class ${nodeName(node)} current`)
      }
    }
  }
  return `${lines.join('\n')}\n`
}

function allBelow(node: AnyStateNode): AnyStateNode[] {
  return childrenOf(node).flatMap((child) => [child, ...allBelow(child)])
}

/** Mermaid wants plain words as names; the label keeps the real key. */
function nodeName(node: AnyStateNode): string {
  return node.path.map((key) => key.replace(/[^A-Za-z0-9_]/g, '_')).join('__')
}

function drawChildren(node: AnyStateNode, indent: string, lines: string[]): void {
  const children = childrenOf(node)
  const first = node.initial?.target[0]
  if (first) lines.push(`${indent}[*] --> ${nodeName(first)}`)
  children.forEach((child, index) => {
    lines.push(`${indent}state "${label(child)}" as ${nodeName(child)}`)
    if (childrenOf(child).length > 0) {
      lines.push(`${indent}state ${nodeName(child)} {`)
      drawChildren(child, `${indent}  `, lines)
      lines.push(`${indent}}`)
    }
    if (child.type === 'final') lines.push(`${indent}${nodeName(child)} --> [*]`)
    if (node.type === 'parallel' && index < children.length - 1) lines.push(`${indent}--`)
  })
}

function label(node: AnyStateNode): string {
  const invoked = node.invoke.map((invoke) => String(invoke.src))
  const marks = node.type === 'history' ? ' (H)' : ''
  return `${node.key}${marks}${invoked.length > 0 ? ` / ${invoked.join(', ')}` : ''}`.replaceAll(
    '"',
    "'",
  )
}

function drawTransitions(root: AnyStateNode, lines: string[]): void {
  for (const node of [root, ...allBelow(root)]) {
    const transitions = [...node.transitions.values()].flat().concat(node.always ?? [])
    for (const transition of transitions) {
      for (const target of transition.target ?? []) {
        if (node.path.length === 0) {
          lines.push(
            `  note right of ${nodeName(target)} : from anywhere on ${eventLabel(transition.eventType)}`,
          )
        } else {
          const guard = transition.guard === undefined ? '' : ` [${guardLabel(transition.guard)}]`
          lines.push(
            `  ${nodeName(node)} --> ${nodeName(target)} : ${eventLabel(transition.eventType)}${guard}`,
          )
        }
      }
    }
  }
}

function eventLabel(type: string): string {
  if (type === '') return 'always'
  const after = /^xstate\.after\.(.+?)\.[^.]+(\.|$)/.exec(type)
  if (after) return `after ${after[1]}`
  return type
    .replace(/^xstate\.done\.actor\..*/, 'done')
    .replace(/^xstate\.error\.actor\..*/, 'error')
    .replace(/^xstate\.done\.state\..*/, 'all done')
    .replaceAll(':', ' ')
}

function guardLabel(guard: unknown): string {
  if (typeof guard === 'string') return guard
  if (typeof guard === 'function') return guard.name || 'guard'
  return (guard as { type?: string }).type ?? 'guard'
}
