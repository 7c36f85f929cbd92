/**
 * The rim of a shard: whatever arrives on its subject is checked here, once, by hand, because it
 * happens for every command. Decides: what is a well-formed command. Schemas of machines come later.
 */
import { canonicalAddress } from './address.ts'
import type { Command, OperationName } from './command.ts'
import { type ErrorRecord, errorRecord, toErrorRecord } from './errors.ts'
import type { Limits } from './limits.ts'

const FIELDS: Record<OperationName, Record<string, FieldKind>> = {
  start: {},
  send: { event: 'event' },
  pause: { reason: 'text?', interrupt: 'boolean?', timers: 'timers?' },
  resume: { state: 'text?', retry: 'boolean?' },
  patch: {},
  cancel: { reason: 'text?' },
  delete: {},
  get: {},
  history: { limit: 'count?', beforeTurn: 'count?' },
  events: {},
  'task.start': { taskId: 'text', worker: 'text', leaseMs: 'count?' },
  'task.attach': { taskId: 'text', token: 'text', worker: 'text' },
  'task.beat': { taskId: 'text', token: 'text' },
  'task.done': { taskId: 'text', token: 'text' },
  'task.failed': { taskId: 'text', token: 'text', failure: 'failure' },
}

type FieldKind = 'text' | 'text?' | 'boolean?' | 'count?' | 'timers?' | 'event' | 'failure'

const ENVELOPE: Record<string, FieldKind> = {
  id: 'text?',
  author: 'text?',
  deadline: 'count?',
  durability: 'text?',
  dryRun: 'boolean?',
}

const FAILURE_CLASSES = new Set(['temporary', 'permanent', 'aborted'])
const DURABILITIES = new Set(['flushed', 'journaled', 'flushed+journaled'])
/** Authors and reasons are shown to people and kept for long: they stay short. */
const TEXT_MAX = 4_096

/** The command with its address in canonical form, or why it is none. */
export function checkCommand(
  candidate: unknown,
  limits: Limits,
): { command: Command } | { error: ErrorRecord } {
  if (typeof candidate !== 'object' || candidate === null)
    return malformed('a command is an object')
  const command = candidate as Record<string, unknown>
  const fields =
    typeof command['op'] === 'string' && Object.hasOwn(FIELDS, command['op'])
      ? FIELDS[command['op'] as OperationName]
      : undefined
  if (!fields) return malformed(`there is no operation "${String(command['op']).slice(0, 40)}"`)
  const wrong = firstWrong(command, ENVELOPE) ?? firstWrong(command, fields)
  if (wrong) return malformed(`${String(command['op'])}: ${wrong}`)
  if (command['durability'] !== undefined && !DURABILITIES.has(command['durability'] as string)) {
    return malformed(
      `there is no durability "${String(command['durability']).slice(0, 40)}"; there are: ${[...DURABILITIES].join(', ')}`,
    )
  }
  if (typeof command['address'] !== 'string') return malformed('a command needs an address')
  try {
    const address = canonicalAddress(command['address'], limits)
    if (address !== command['address']) command['address'] = address
    return { command: command as unknown as Command }
  } catch (thrown) {
    return { error: toErrorRecord(thrown, 'invalid-address') }
  }
}

function malformed(why: string): { error: ErrorRecord } {
  return { error: errorRecord('malformed', why) }
}

function firstWrong(
  command: Record<string, unknown>,
  fields: Record<string, FieldKind>,
): string | undefined {
  for (const name in fields) {
    const kind = fields[name]
    const value = command[name]
    if (kind && !fits(kind, value)) return `field "${name}" must be ${WANTED[kind]}`
  }
  return undefined
}

const WANTED: Record<FieldKind, string> = {
  text: 'a text',
  'text?': 'a text',
  'boolean?': 'true or false',
  'count?': 'a whole number from 0',
  'timers?': '"run" or "freeze"',
  event: 'an object with a text "type"',
  failure: 'an object with a class and a message',
}

function fits(kind: FieldKind, value: unknown): boolean {
  switch (kind) {
    case 'text':
      return typeof value === 'string' && value.length <= TEXT_MAX
    case 'text?':
      return value === undefined || (typeof value === 'string' && value.length <= TEXT_MAX)
    case 'boolean?':
      return value === undefined || typeof value === 'boolean'
    case 'count?':
      return value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)
    case 'timers?':
      return value === undefined || value === 'run' || value === 'freeze'
    case 'event':
      return (
        typeof value === 'object' &&
        value !== null &&
        typeof (value as { type?: unknown }).type === 'string'
      )
    case 'failure':
      return (
        typeof value === 'object' &&
        value !== null &&
        FAILURE_CLASSES.has((value as { class: string }).class) &&
        typeof (value as { message?: unknown }).message === 'string'
      )
  }
}
