/**
 * One command against the heads, inside a batch. Decides: the order of the checks (id, deadline,
 * existence, schema) and what of it is remembered.
 */
import { describeEffect, legalEvents, stepEvent, stepInitial } from '../machine/index.ts'
import {
  type Command,
  type DryRunView,
  type Durability,
  type ErrorRecord,
  errorRecord,
  isChild,
  machineOf,
  OPERATOR_OPERATIONS,
  type Outcome,
  READ_OPERATIONS,
  type StateValue,
  TASK_OPERATIONS,
  type TaskOperation,
  whyUnpackable,
} from '../protocol/index.ts'
import type { Answer, Batch } from './batch.ts'
import type { ShardContext } from './context.ts'
import type { Dedupe } from './dedupe.ts'
import { deliver } from './deliver.ts'
import { checkEvent, finishedError, parseSafely } from './event-check.ts'
import { endAndGoOn } from './going-on.ts'
import { identityOf, snapshotOf } from './heads.ts'
import { historyOf } from './history.ts'
import type { MailItem } from './mailbox.ts'
import { conflict, type OperatorCommand } from './operator-commands.ts'
import { operate } from './operators.ts'
import { matches } from './queries.ts'
import { conditionOf, type Head } from './records.ts'
import { startActor } from './start-actor.ts'
import { taskOperation } from './tasks.ts'
import { actorView, diffContexts, turnView } from './views.ts'

/** @param deliver steps what the command sends to other actors of the shard, as is done behind it in any case */
export function applyCommand(
  shard: ShardContext,
  batch: Batch,
  dedupe: Dedupe,
  { command, until }: Pick<Extract<MailItem, { kind: 'command' }>, 'command' | 'until'>,
  durability: Durability,
  deliver: () => void,
): Outcome {
  const refused = checkDurability(shard, command)
  if (refused) return { error: refused }
  const late = whyLate(shard, command, until)
  const isRead = READ_OPERATIONS.has(command.op)
  if (late && (isRead || command.dryRun)) return { error: late }
  if (isRead) return withDurability(answer(shard, batch, command), durability)
  if (command.dryRun && isTaskCommand(command)) {
    return { error: errorRecord('malformed', `${command.op} cannot be tried without doing it`) }
  }
  if (command.dryRun)
    return withDurability(sendable(answer(shard, batch, command), command), durability)
  if (command.id === undefined) {
    return {
      error: errorRecord('malformed', `a ${command.op} command needs an id`, {
        address: command.address,
      }),
    }
  }
  const checked = dedupe.check(batch, command as Command & { id: string })
  if (checked.known) return withDurability(checked.known, durability)
  // Only now: of a copy that was in time nobody is told that it was not applied.
  if (late) return { error: late }
  const apply = () => answer(shard, batch, command)
  const applied =
    command.op === 'task.done' ? endAndGoOn(shard, batch, command, apply, deliver) : apply()
  const parked = 'error' in applied && applied.error.code === 'parked'
  if ('ok' in applied || parked) dedupe.remember(batch, checked, applied)
  return withDurability(applied, durability)
}

export function withDurability(applied: Answer, durability: Durability): Outcome {
  return 'ok' in applied ? { ok: applied.ok, durability } : applied
}

function isTaskCommand(command: Command): command is Command & TaskOperation {
  return TASK_OPERATIONS.has(command.op)
}

/** What would happen may be what cannot: the real one would be refused when its turn is encoded. */
function sendable(tried: Answer, { address }: Command): Answer {
  const why = whyUnpackable(tried)
  if (why === undefined) return tried
  const message = `what would become of ${address} cannot be stored: ${why}`
  return { error: errorRecord('conflict', message, { address }) }
}

function whyLate(
  shard: ShardContext,
  { timeoutMs, address }: Command,
  until: number,
): ErrorRecord | undefined {
  const lateMs = shard.clock.monotonic() - until
  if (lateMs <= 0) return undefined
  const waitedMs = Math.ceil((timeoutMs ?? 0) + lateMs)
  const why = `the command has waited here for ${waitedMs} ms, and its sender waits for ${timeoutMs} ms only; it was not applied`
  return errorRecord('deadline', why, { address })
}

function checkDurability(shard: ShardContext, command: Command): ErrorRecord | undefined {
  const { address } = command
  if (command.durability !== undefined && command.durability !== 'flushed' && !shard.journaled) {
    return errorRecord(
      'malformed',
      `durability "${command.durability}" needs a journal; an embedded node offers "flushed"`,
      { address },
    )
  }
  return undefined
}

function answer(shard: ShardContext, batch: Batch, command: Command): Answer {
  const { address } = command
  const head = shard.heads.get(address)
  const unknown = head ? undefined : shard.heads.whyUnknown(address)
  if (unknown !== undefined) return { error: errorRecord('version-unknown', unknown, { address }) }
  if (command.op === 'start') return start(shard, batch, head, command)
  if (isTaskCommand(command)) return taskOperation(shard, batch, head, command)
  if (!head) return { error: unknownActor(shard, command.address) }
  const { when } = command
  if (when && !matches(shard, head, { ...when, children: true })) {
    return conflict(
      head,
      `is not as the command wants it: ${conditionOf(head)}, in ${head.stateText}`,
    )
  }
  if (OPERATOR_OPERATIONS.has(command.op))
    return operate(shard, batch, head, command as OperatorCommand)
  switch (command.op) {
    case 'send':
      return send(shard, batch, head, command)
    case 'get':
      return { ok: actorView(shard, head) }
    case 'history':
      return {
        ok: historyOf(
          shard,
          batch,
          head,
          command.limit ?? 100,
          command.beforeTurn ?? Number.MAX_SAFE_INTEGER,
        ),
      }
    case 'events':
      return { ok: eventsOf(head) }
    default:
      return {
        error: errorRecord(
          'malformed',
          `there is no operation "${String((command as { op: unknown }).op)}"`,
        ),
      }
  }
}

function unknownActor(shard: ShardContext, address: string) {
  const machine = machineOf(address)
  if (shard.machines.has(machine)) {
    return errorRecord('unknown-actor', `there is no actor at ${address}; start it first`, {
      address,
    })
  }
  return unknownMachine(shard, machine, address)
}

function unknownMachine(shard: ShardContext, machine: string, address: string) {
  const known = [...shard.machines.keys()].sort()
  return errorRecord(
    'unknown-machine',
    `no machine "${machine}" is registered; there are: ${known.join(', ') || 'none'}`,
    {
      address,
      detail: { machines: known },
    },
  )
}

function start(
  shard: ShardContext,
  batch: Batch,
  existing: Head | undefined,
  command: Command & { op: 'start' },
): Answer {
  const { address } = command
  const hosted = shard.machines.get(machineOf(address))
  if (!hosted) return { error: unknownMachine(shard, machineOf(address), address) }
  if (isChild(address)) {
    return {
      error: errorRecord(
        'invalid-address',
        `${address} names a child: children are started by their parent`,
        { address },
      ),
    }
  }
  if (existing) {
    const where = `${existing.status}, in ${existing.stateText}`
    return {
      error: errorRecord('already-exists', `there is an actor at ${address} already (${where})`, {
        address,
      }),
    }
  }
  const schema = hosted.definition.input
  const parsed = schema && parseSafely(schema, command.input)
  if (parsed && !parsed.success) {
    const why = `the input of ${address}: ${parsed.why}`
    return { error: errorRecord('invalid-input', why, { address, detail: parsed.detail }) }
  }
  const input = parsed ? parsed.data : command.input
  if (command.dryRun) return dryStart(hosted, address, input)
  const cause = {
    type: 'start',
    by: command.author ?? 'anonymous',
    ...(command.id === undefined ? {} : { commandId: command.id }),
  }
  const logic = { kind: 'chart' as const, chart: hosted.chart }
  const made = startActor(shard, batch, { address, hosted, logic, sources: [], input, cause })
  if ('error' in made)
    return {
      error: errorRecord('invalid-input', `${address} failed to start: ${made.error}`, { address }),
    }
  return { ok: turnView(made.head, true, made.reply) }
}

function dryStart(hosted: Head['hosted'], address: string, input: unknown): Answer {
  const step = stepInitial(hosted.chart, input, identityOf({ address }))
  if (step.kind === 'failed')
    return {
      error: errorRecord('invalid-input', `${address} would fail to start: ${step.message}`, {
        address,
      }),
    }
  const view: DryRunView = {
    dryRun: true,
    value: step.snapshot.value as StateValue,
    status: step.snapshot.status === 'done' ? 'done' : 'active',
    handled: true,
    contextDiff: diffContexts({}, step.snapshot.context),
    effects: step.effects.map(describeEffect),
  }
  return { ok: view }
}

function send(
  shard: ShardContext,
  batch: Batch,
  head: Head,
  command: Command & { op: 'send' },
): Answer {
  const checked = checkEvent(head, command.event)
  if ('error' in checked) return checked
  if (head.status !== 'active') return { error: finishedError(head) }
  if (command.dryRun) return drySend(shard, head, checked.event)
  const delivered = deliver(shard, batch, head, {
    kind: 'event',
    event: checked.event,
    by: command.author ?? 'anonymous',
    commandId: command.id ?? '',
  })
  switch (delivered.kind) {
    case 'turn':
      return { ok: turnView(head, delivered.handled, delivered.reply) }
    case 'kept':
      return { ok: { ...turnView(head, false, undefined), kept: delivered.count } }
    case 'refused':
      return { error: delivered.error }
    case 'parked':
      return { error: delivered.error }
  }
}

function drySend(shard: ShardContext, head: Head, event: Parameters<typeof stepEvent>[2]): Answer {
  if (head.logic.kind !== 'chart')
    return { error: errorRecord('conflict', `${head.address} is a reducer`) }
  if (head.unreadable !== null) {
    const { address } = head
    return { error: errorRecord('version-unknown', head.unreadable, { address }) }
  }
  const { chart } = head.logic
  const step = stepEvent(chart, snapshotOf(head, chart), event, identityOf(head))
  shard.heads.undoStep(head)
  if (step.kind === 'failed')
    return {
      error: errorRecord('parked', `the step would fail: ${step.message}`, {
        address: head.address,
      }),
    }
  const view: DryRunView = {
    dryRun: true,
    value: step.snapshot.value as StateValue,
    status: step.snapshot.status === 'done' ? 'done' : 'active',
    handled: step.handled,
    contextDiff: diffContexts(head.stored.context, step.snapshot.context),
    effects: step.effects.map(describeEffect),
  }
  return { ok: view }
}

function eventsOf(head: Head): unknown {
  if (head.logic.kind !== 'chart' || head.unreadable !== null) return []
  const { events } = head.hosted.definition
  const sendable = (type: string) => head.sources.length === 0 && Object.hasOwn(events, type)
  return legalEvents(snapshotOf(head, head.logic.chart), sendable)
}
