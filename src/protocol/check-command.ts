/**
 * The rim of a shard: whatever arrives on its subject is checked here, once, by hand, because it
 * happens for every command. Decides: what is a well-formed command. Schemas of machines come later.
 */
import { canonicalAddress } from './address.ts'
import type { Command, EventObject, OperationName, TaskFailure } from './command.ts'
import { type ErrorRecord, errorRecord, toErrorRecord } from './errors.ts'
import { clipText, nestsDeeper, TEXT_CHARS_MAX } from './foreign-values.ts'
import type { Limits } from './limits.ts'

const FIELDS: Record<OperationName, Record<string, FieldKind>> = {
  start: { input: 'any' },
  send: { event: 'event' },
  pause: { reason: 'text?', interrupt: 'boolean?', timers: 'timers?' },
  resume: { state: 'text?', retry: 'boolean?' },
  patch: { merge: 'any' },
  cancel: { reason: 'text?' },
  delete: {},
  get: {},
  history: { limit: 'count?', beforeTurn: 'count?' },
  events: {},
  'task.start': { taskId: 'text', worker: 'text', ticket: 'text?' },
  'task.attach': { taskId: 'text', token: 'text', worker: 'text' },
  'task.beat': { taskId: 'text', token: 'text', progress: 'any' },
  'task.done': { taskId: 'text', token: 'text', output: 'any', next: 'text?' },
  'task.failed': { taskId: 'text', token: 'text', failure: 'failure' },
}

/** `any` is whatever can be packed; schemas of machines look at it later. */
type FieldKind =
  | ('text' | 'text?' | 'boolean?' | 'count?' | 'timers?')
  | ('event' | 'failure' | 'expectation?' | 'any')

const ENVELOPE: Record<string, FieldKind> = {
  id: 'text?',
  author: 'text?',
  timeoutMs: 'count?',
  durability: 'text?',
  dryRun: 'boolean?',
  when: 'expectation?',
}

const EXPECTED: Readonly<Record<string, FieldKind>> = {
  state: 'text?',
  tag: 'text?',
  condition: 'text?',
  olderThanMs: 'count?',
}

const NESTING_KINDS: ReadonlySet<FieldKind | undefined> = new Set(['any', 'event', 'failure'])
const FAILURE_CLASSES = new Set(['temporary', 'permanent', 'aborted'])
const DURABILITIES = new Set(['flushed', 'journaled', 'flushed+journaled'])

/** In lists that are walked by number: this happens for every command. */
interface Shape {
  names: string[]
  kinds: FieldKind[]
  nesting: string[]
  known: ReadonlySet<string>
}

/** Every field that an operation may have: what is not here is refused, or it would mean nothing. */
const SHAPES: ReadonlyMap<string, Shape> = new Map(
  Object.entries(FIELDS).map(([op, own]) => {
    const fields: Record<string, FieldKind> = { op: 'text', address: 'text', ...ENVELOPE, ...own }
    const names = Object.keys(fields)
    const nesting = names.filter((name) => NESTING_KINDS.has(fields[name]))
    return [op, { names, kinds: Object.values(fields), nesting, known: new Set(names) }]
  }),
)

/** The command with its address in canonical form, or why it is none. */
export function checkCommand(
  candidate: unknown,
  limits: Limits,
): { command: Command } | { error: ErrorRecord } {
  if (typeof candidate !== 'object' || candidate === null)
    return malformed('a command is an object')
  const command = candidate as Record<string, unknown>
  const op = typeof command['op'] === 'string' ? command['op'] : ''
  const shape = SHAPES.get(op)
  if (!shape) return malformed(`there is no operation "${op.slice(0, 40)}"`)
  if (typeof command['address'] !== 'string') return malformed('a command needs an address')
  const wrong = firstWrong(command, shape)
  if (wrong) return malformed(`${op}: ${wrong}`)
  const deep = shape.nesting.find((name) => nestsDeeper(command[name], limits.nestingMax))
  if (deep !== undefined) return { error: tooDeep(`${op}: field "${deep}"`, limits) }
  if (command['durability'] !== undefined && !DURABILITIES.has(command['durability'] as string)) {
    return malformed(
      `there is no durability "${String(command['durability']).slice(0, 40)}"; there are: ${[...DURABILITIES].join(', ')}`,
    )
  }
  if (op === 'task.failed') command['failure'] = clipFailure(command['failure'] as TaskFailure)
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

function firstWrong(command: Record<string, unknown>, shape: Shape): string | undefined {
  const { names, kinds, known } = shape
  for (let at = 0; at < names.length; at++) {
    const name = names[at] ?? ''
    const kind = kinds[at] ?? 'any'
    if (!fits(kind, command[name])) return `field "${name}" must be ${WANTED[kind]}`
  }
  for (const name in command) {
    if (!known.has(name) && command[name] !== undefined)
      return `there is no field "${name.slice(0, 40)}"; there are: ${names.join(', ')}`
  }
  return undefined
}

export function tooDeep(what: string, { nestingMax }: Limits): ErrorRecord {
  return errorRecord(
    'too-large',
    `${what} holds more than ${nestingMax} lists and objects in each other (nestingMax)`,
    { detail: { limit: 'nestingMax' } },
  )
}

/** A long message would be kept with the actor, in its history and in every reply about it. */
function clipFailure(failure: TaskFailure): TaskFailure {
  if (failure.message.length <= TEXT_CHARS_MAX) return failure
  return { ...failure, message: clipText(failure.message) }
}

const WANTED: Record<FieldKind, string> = {
  text: 'a text',
  'text?': 'a text',
  'boolean?': 'true or false',
  'count?': 'a whole number from 0',
  'timers?': '"run" or "freeze"',
  event: 'an object with a text "type"',
  failure: 'an object with a class and a message',
  'expectation?': `an object of ${[...Object.keys(EXPECTED), 'where'].join(', ')}`,
  any: 'anything',
}

export function isEvent(value: unknown): value is EventObject {
  return (
    typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
  )
}

function isExpectation(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).every(([name, field]) => {
    if (name === 'where') return isIndexed(field)
    const kind = Object.hasOwn(EXPECTED, name) ? EXPECTED[name] : undefined
    return kind !== undefined && fits(kind, field)
  })
}

function isIndexed(where: unknown): boolean {
  if (typeof where !== 'object' || where === null) return false
  return Object.values(where).every((value) => value === null || typeof value !== 'object')
}

function fits(kind: FieldKind, value: unknown): boolean {
  switch (kind) {
    case 'text':
      return typeof value === 'string' && value.length <= TEXT_CHARS_MAX
    case 'text?':
      return value === undefined || (typeof value === 'string' && value.length <= TEXT_CHARS_MAX)
    case 'boolean?':
      return value === undefined || typeof value === 'boolean'
    case 'count?':
      return value === undefined || (Number.isSafeInteger(value) && (value as number) >= 0)
    case 'timers?':
      return value === undefined || value === 'run' || value === 'freeze'
    case 'event':
      return isEvent(value)
    case 'expectation?':
      return value === undefined || isExpectation(value)
    case 'any':
      return true
    case 'failure':
      return (
        typeof value === 'object' &&
        value !== null &&
        FAILURE_CLASSES.has((value as { class: string }).class) &&
        typeof (value as { message?: unknown }).message === 'string' &&
        fits('text?', (value as { code?: unknown }).code)
      )
  }
}
