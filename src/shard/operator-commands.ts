/**
 * What the operations of operators share: their form, their place in the history, their refusals.
 */
import {
  type Command,
  childOf,
  type DryRunView,
  errorRecord,
  type Operation,
  type StateValue,
} from '../protocol/index.ts'
import type { Answer } from './batch.ts'
import type { ShardContext } from './context.ts'
import type { Cause } from './history.ts'
import type { Head } from './records.ts'
import { diffContexts } from './views.ts'

type OperatorOperation = Extract<
  Operation,
  { op: 'pause' | 'resume' | 'patch' | 'cancel' | 'delete' }
>
export type OperatorCommand = Command & OperatorOperation

export function causeOf(command: OperatorCommand, note?: string): Cause {
  const cause: Cause = { type: command.op, by: command.author ?? 'anonymous' }
  if (command.id !== undefined) cause.commandId = command.id
  if (note !== undefined && note !== '') cause.note = note
  return cause
}

export function conflict(head: Head, why: string): Answer {
  return { error: errorRecord('conflict', `${head.address} ${why}`, { address: head.address }) }
}

export function dryRun(
  head: Head,
  effects: string[],
  value: StateValue = head.stored.value,
  after: unknown = head.stored.context,
): Answer {
  const view: DryRunView = {
    dryRun: true,
    value,
    status: head.status,
    handled: true,
    contextDiff: diffContexts(head.stored.context, after),
    effects,
  }
  return { ok: view }
}

/** Children are paused with their parent: what runs below it is part of it. */
export function familyOf(shard: ShardContext, head: Head): Head[] {
  const family = [head]
  for (const child of head.children) {
    if (child.done || (child.kind !== 'machine' && child.kind !== 'transition')) continue
    const below = shard.heads.get(childOf(head.address, child.childId, shard.limits))
    if (below) family.push(...familyOf(shard, below))
  }
  return family
}
