/**
 * What operators do to an actor: pause, patch, cancel, delete; resume stands
 * in resume.ts.
 *
 * Decides: what each of them means in each condition of an actor. Every one is a turn in the history
 * and a row in the audit trail, in the same commit. A dry run stops before anything is touched.
 */
import { type Command, type ErrorRecord, errorRecord, lastName, pack } from '../protocol/index.ts'
import type { Answer, Batch } from './batch.ts'
import { failureType, markDone, parentHeadOf, tellFailure } from './child-ends.ts'
import type { ShardContext } from './context.ts'
import { controlTurn, hold, park } from './control.ts'
import { parseSafely } from './event-check.ts'
import { namesEventAt } from './heads.ts'
import { sequencedKey, TABLE } from './keys.ts'
import { causeOf, conflict, dryRun, familyOf, type OperatorCommand } from './operator-commands.ts'
import { purgeTimer } from './plan.ts'
import type { Head } from './records.ts'
import { removeActor, removeBelongings } from './removal.ts'
import { drainKept, resume } from './resume.ts'
import { interruptTasks } from './tasks.ts'
import { addTimerRow, encodeWithin, indexWithin } from './turn.ts'
import { controlBytes, removalBytes, whyTooMuch } from './turn-size.ts'
import { receiptOf } from './views.ts'

export function operate(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: OperatorCommand,
): Answer {
  const before = head.stateText
  const answer = dispatch(shard, batch, head, command)
  if ('ok' in answer && !command.dryRun) writeAudit(shard, batch, head, command, before)
  return answer
}

function dispatch(shard: ShardContext, batch: Batch, head: Head, command: OperatorCommand): Answer {
  if (head.newer && !POSSIBLE_ON_NEWER.has(command.op)) return { error: newerError(head) }
  if (ENDS_FOR_GOOD.has(command.op) && shard.singletons.has(head.address)) {
    return conflict(
      head,
      'is a singleton of an app, which needs it: pause it, or take the app away',
    )
  }
  switch (command.op) {
    case 'pause':
      return pause(shard, batch, head, command)
    case 'resume':
      return resume(shard, batch, head, command)
    case 'patch':
      return patch(shard, batch, head, command)
    case 'cancel':
      return cancel(shard, batch, head, command)
    case 'delete':
      return remove(shard, batch, head, command)
  }
}

/**
 * To move one of a newer version by an older chart would write what that version has left behind, and
 * its migrations would run again over what they gave.
 */
const POSSIBLE_ON_NEWER: ReadonlySet<OperatorCommand['op']> = new Set(['pause', 'cancel', 'delete'])

/** One that was started anew would know nothing of what its former self gave out. */
const ENDS_FOR_GOOD: ReadonlySet<OperatorCommand['op']> = new Set(['cancel', 'delete'])

function newerError(head: Head): ErrorRecord {
  const why = `${head.address} was ${head.unreadable}. Here it can be read, paused, cancelled and deleted; to go on with it, run version ${head.version}`
  return errorRecord('version-unknown', why, { address: head.address })
}

function writeAudit(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: OperatorCommand,
  before: string,
): void {
  const { address, author = 'anonymous', id = '', op } = command
  const after = batch.removed.has(address) ? null : head.stateText
  const row = [address, author, op, id, detailOf(command), before, after]
  batch.write(
    sequencedKey(shard.shard, TABLE.audit, batch.now, batch.slot, batch.nextSequence()),
    pack(row),
  )
}

/** What was asked, without what every command has. */
function detailOf(command: OperatorCommand): unknown {
  const {
    address: _a,
    id: _i,
    author: _w,
    op: _o,
    timeoutMs: _d,
    durability: _c,
    when: _e,
    ...detail
  } = command
  return detail
}

function pause(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'pause' },
): Answer {
  if (head.status !== 'active')
    return conflict(head, `has finished (${head.status}): there is nothing to pause`)
  if (head.paused && !command.interrupt) {
    return conflict(head, `is paused already, by ${head.paused.by} since ${head.paused.since}`)
  }
  if (command.dryRun) {
    const running = head.tasks.filter((task) => task.state === 'running')
    return dryRun(
      head,
      running.map(
        (task) =>
          `task ${task.name} ${command.interrupt ? 'is interrupted' : 'runs on; its result waits'}`,
      ),
    )
  }
  // A child that is paused already stays as it is: of a large family, the children can go first.
  const family = familyOf(shard, head).filter(
    (member) =>
      member.status === 'active' && (member === head || !member.paused || command.interrupt),
  )
  const bytes = family.reduce((sum, member) => sum + controlBytes(member, command.reason), 0)
  const tooMuch = whyTooMuch(shard, batch, head, 'to pause the family of', bytes)
  if (tooMuch) return { error: tooMuch }
  for (const member of family) pauseOne(shard, batch, member, command)
  return { ok: receiptOf(head) }
}

function pauseOne(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'pause' },
): void {
  const timers = command.timers ?? 'run'
  const by = command.author ?? 'anonymous'
  hold(shard, batch, head, { since: batch.now, by, reason: command.reason ?? '', timers })
  if (command.interrupt) interruptTasks(shard, batch, head)
  controlTurn(shard, batch, head, causeOf(command, command.reason))
}

/** A JSON merge patch (RFC 7396) of the context, checked by the machine's schema. */
function patch(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'patch' },
): Answer {
  const context = mergePatch(head.stored.context, command.merge)
  const schema = head.sources.length === 0 ? head.hosted.definition.context : undefined
  const parsed = schema && parseSafely(schema, context)
  if (parsed && !parsed.success) {
    const why = `the patched context of ${head.address}: ${parsed.why}`
    const { detail } = parsed
    return { error: errorRecord('invalid-context', why, { address: head.address, detail }) }
  }
  if (typeof context !== 'object' || context === null || Array.isArray(context)) {
    return {
      error: errorRecord('invalid-context', `the context of ${head.address} must stay an object`, {
        address: head.address,
      }),
    }
  }
  if (command.dryRun) return dryRun(head, [], head.stored.value, context)
  const stored = { ...head.stored, context }
  const index = indexWithin(head, stored)
  if ('error' in index) return index
  const encoded = encodeWithin(shard, { ...head, index: index.index }, stored)
  if (!(encoded instanceof Uint8Array)) return { error: encoded }
  // The patch stands in the audit trail, beside the actor.
  const bytes = controlBytes(head) - head.bytes + encoded.length + pack(command.merge).length
  const tooMuch = whyTooMuch(shard, batch, head, 'to patch', bytes)
  if (tooMuch) return { error: tooMuch }
  batch.resized(head, encoded.length)
  batch.touch(head)
  batch.reserve(Math.max(0, encoded.length - head.bytes))
  head.stored = stored
  head.snapshot = undefined
  head.index = index.index
  controlTurn(shard, batch, head, causeOf(command))
  return { ok: receiptOf(head) }
}

function mergePatch(target: unknown, merge: unknown): unknown {
  if (typeof merge !== 'object' || merge === null || Array.isArray(merge)) return merge
  const base = typeof target === 'object' && target !== null && !Array.isArray(target) ? target : {}
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(merge)) {
    if (value === null) delete merged[key]
    else merged[key] = mergePatch(merged[key], value)
  }
  return merged
}

/**
 * Ends an actor where it stands: tasks and timers are cancelled, children go, and what it kept for
 * others becomes dead letters. Its record stays, unless it is a child.
 */
function cancel(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'cancel' },
): Answer {
  if (head.status !== 'active') return conflict(head, `has finished already (${head.status})`)
  if (command.dryRun) {
    return dryRun(head, [
      ...head.tasks.map((task) => `cancel task ${task.name}`),
      ...head.timers.map((timer) => `cancel timer ${timer.id}`),
    ])
  }
  const bytes = removalBytes(shard, head) + controlBytes(head, command.reason)
  const tooMuch = whyTooMuch(shard, batch, head, 'to cancel', bytes)
  if (tooMuch) return { error: tooMuch }
  removeBelongings(shard, batch, head)
  Object.assign(head, {
    status: 'stopped',
    paused: null,
    parked: null,
    timers: [],
    tasks: [],
    children: [],
    since: batch.now,
    snapshot: undefined,
  })
  if (head.sources.length > 0) return endChild(shard, batch, head, command)
  const purge = purgeTimer(shard, batch, head, head.turn + 1)
  head.timers = [purge]
  addTimerRow(shard, batch, head, purge)
  controlTurn(shard, batch, head, causeOf(command, command.reason))
  drainKept(shard, batch, head)
  return { ok: receiptOf(head) }
}

/**
 * For whoever has it, a child that is cancelled has failed. As in XState its parent gets its error, and
 * one that names no such error ends with it: here that is to park, so that an operator decides. The
 * resume enters the state that invoked it again, with a new child.
 */
function endChild(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'cancel' },
): Answer {
  const parent = parentHeadOf(shard, head)
  const receipt = receiptOf(head)
  const { author = 'anonymous', reason = '' } = command
  const name = lastName(head.address)
  const why = `child ${name} was cancelled by ${author}${reason === '' ? '' : `: ${reason}`}`
  removeActor(shard, batch, head)
  if (!parent) return { ok: receipt }
  if (namesEventAt(parent.head, failureType(name))) tellFailure(batch, parent, head.address, why)
  else {
    markDone(parent.head, parent.entry.effectId)
    park(shard, batch, parent.head, why, { type: `cancel of ${name}`, by: author }, [name])
  }
  return { ok: receipt }
}

function remove(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'delete' },
): Answer {
  if (head.sources.length > 0) return conflict(head, 'is a child: cancel it, or delete its parent')
  if (command.dryRun)
    return dryRun(head, ['delete the actor, its history, timers, tasks, children and kept events'])
  const tooMuch = whyTooMuch(shard, batch, head, 'to delete', removalBytes(shard, head))
  if (tooMuch) return { error: tooMuch }
  const receipt = receiptOf(head)
  removeActor(shard, batch, head)
  return { ok: receipt }
}
