/**
 * What a person types of a bulk. Decides: how the options of its verbs are read. Leaves to others: what they
 * may be (`bulk-operation.ts`).
 */
import { fromJson, type IndexValue, TroupeError, type VerbCall } from '../../src/verbs.ts'
import type { BulkOperation } from './bulk-operation.ts'

const UNIT_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const DURATION = /^(\d{1,9})(ms|s|m|h|d)$/
/** What reads as JSON's number, true, false, null or text. */
const JSON_VALUE = /^(?:-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|true|false|null|".*")$/is

export function pauseOf(call: VerbCall): BulkOperation {
  const { interrupt, freezeTimers } = call.options
  return {
    op: 'pause',
    ...given('reason', textOf(call, 'reason')),
    ...(interrupt === true ? { interrupt: true } : {}),
    ...(freezeTimers === true ? { timers: 'freeze' } : {}),
  }
}

export function eventOf({ arguments: [type = '', payload] }: VerbCall): { type: string } {
  if (payload === undefined) return { type }
  let fields: unknown
  try {
    fields = fromJson(payload)
  } catch (thrown) {
    throw malformed(`payload: ${(thrown as Error).message}; in a shell, put it into single quotes`)
  }
  if (typeof fields === 'object' && fields !== null && !Array.isArray(fields)) {
    return { ...fields, type }
  }
  throw malformed('payload: it must be a JSON object')
}

export function filterOf(call: VerbCall): Record<string, unknown> {
  const machine = textOf(call, 'machine')
  if (machine === undefined) throw malformed('--machine is missing: of which machine')
  const where = call.options['where'] as readonly string[] | undefined
  return {
    machine,
    ...given('state', textOf(call, 'state')),
    ...given('tag', textOf(call, 'tag')),
    ...given('condition', textOf(call, 'condition')),
    ...given('idPrefix', textOf(call, 'idPrefix')),
    ...given('olderThanMs', ageOf(textOf(call, 'olderThan'))),
    ...(where === undefined ? {} : { where: Object.fromEntries(where.map(fieldOf)) }),
    ...(call.options['children'] === true ? { children: true } : {}),
  }
}

function fieldOf(text: string): [string, IndexValue] {
  const at = text.indexOf('=')
  if (at < 1) throw malformed(`--where: "${text}" is not FIELD=VALUE`)
  return [text.slice(0, at), wordOf(text.slice(at + 1))]
}

/** As in a list: quotes make a text of anything. */
function wordOf(text: string): IndexValue {
  if (!JSON_VALUE.test(text)) return text
  try {
    return JSON.parse(text) as IndexValue
  } catch {
    return text
  }
}

function ageOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const [, count, unit] = DURATION.exec(text) ?? []
  if (count !== undefined) return Number(count) * UNIT_MS[unit as keyof typeof UNIT_MS]
  throw malformed(`--older-than: must be a duration such as 90s, 10m, 2h or 1d, not "${text}"`)
}

export function countOf({ options }: VerbCall, name: string, flag: string): number | undefined {
  const text = options[name]
  if (text === undefined) return undefined
  if (/^\d{1,7}$/.test(String(text))) return Number(text)
  throw malformed(`${flag}: ${String(text)} is not a whole number`)
}

export function textOf({ options }: VerbCall, name: string): string | undefined {
  const text = options[name]
  return typeof text === 'string' ? text : undefined
}

/** Leaves out what was not given. */
export function given<TName extends string, T>(
  name: TName,
  value: T | undefined,
): { [K in TName]?: T } {
  return value === undefined ? {} : ({ [name]: value } as { [K in TName]: T })
}

function malformed(why: string): TroupeError {
  return new TroupeError('malformed', why)
}
