/**
 * What a step asks for, as data. Decides: the vocabulary. Leaves to others: rows, ids and doing it.
 * The order of a list of effects is the order in which the statechart asked.
 */
import type { EventObject } from '../protocol/index.ts'

export type Effect =
  /** Run `src` on a worker; its result comes back as the completion of child `childId`. */
  | { kind: 'task'; childId: string; src: string; input: unknown }
  /** Start a child actor on this shard. */
  | { kind: 'child'; childId: string; src: string; input: unknown; sync: boolean }
  /** Run a callback or observable beside the owner, for as long as the state lasts. */
  | { kind: 'live'; childId: string; src: string; input: unknown }
  | { kind: 'stop'; childId: string }
  /** An event for a child, the parent or the actor itself. */
  | { kind: 'send'; to: SendTarget; event: EventObject }
  /** The same, later. */
  | { kind: 'timer'; id: string; to: SendTarget; event: EventObject; delayMs: number }
  | { kind: 'cancel'; id: string }
  | { kind: 'tell'; to: string; event: EventObject }
  | { kind: 'reply'; value: unknown }
  | { kind: 'emit'; event: EventObject }
  | { kind: 'log'; value: unknown }
  /** A plain action of the machine: runs after the commit, best effort. */
  | { kind: 'action'; type: string; run: () => void }

export type SendTarget = { kind: 'self' } | { kind: 'parent' } | { kind: 'child'; childId: string }

/** An effect in words, for dry runs and logs. */
export function describeEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'task':
      return `run task ${effect.src} as ${effect.childId}`
    case 'child':
      return `start child ${effect.childId} (${effect.src})`
    case 'live':
      return `run ${effect.src} beside the owner as ${effect.childId}`
    case 'stop':
      return `stop ${effect.childId}`
    case 'send':
      return `send ${effect.event.type} to ${describeTarget(effect.to)}`
    case 'timer':
      return `timer ${effect.id}: ${effect.event.type} to ${describeTarget(effect.to)} in ${effect.delayMs} ms`
    case 'cancel':
      return `cancel timer ${effect.id}`
    case 'tell':
      return `tell ${effect.to} ${effect.event.type}`
    case 'reply':
      return 'reply to the caller'
    case 'emit':
      return `emit ${effect.event.type}`
    case 'log':
      return 'write to the log'
    case 'action':
      return `action ${effect.type}`
  }
}

function describeTarget(target: SendTarget): string {
  return target.kind === 'child' ? `child ${target.childId}` : target.kind
}
