/**
 * Fields of requests: forms and JSON alike. Decides: what is missing, what has the wrong type, and the
 * words that say so, which name the field. A form knows texts only, so `"7"` is as good as `7`.
 */
import { TroupeError } from '../../src/index.ts'

export class Fields {
  readonly #values: Readonly<Record<string, unknown>>

  /** @throws TroupeError `malformed` when it is no object */
  constructor(body: unknown) {
    if (typeof body !== 'object' || body === null || Array.isArray(body)) {
      throw malformed('the body holds no fields: send a form or a JSON object')
    }
    this.#values = body as Record<string, unknown>
  }

  /** Every field as it would stand in a form, for signatures. */
  texts(): Record<string, string> {
    const texts = Object.entries(this.#values).flatMap(([name, value]) =>
      value === undefined || value === null ? [] : [[name, textOf(name, value)] as const],
    )
    return Object.fromEntries(texts)
  }

  /** @throws TroupeError `malformed` */
  text(name: string, charactersMax = Number.MAX_SAFE_INTEGER): string {
    const value = this.optionalText(name, charactersMax)
    if (value === undefined || value === '') throw malformed(`${name} is missing`)
    return value
  }

  optionalText(name: string, charactersMax = Number.MAX_SAFE_INTEGER): string | undefined {
    const value = this.#values[name]
    if (value === undefined || value === null) return undefined
    const text = textOf(name, value)
    if (text.length > charactersMax)
      throw malformed(`${name} has ${text.length} characters, at most ${charactersMax} are taken`)
    return text
  }

  /** Short texts that are shown to people and travel in environments: one line of them. */
  optionalLine(name: string, charactersMax = LINE_CHARACTERS_MAX): string | undefined {
    const text = this.optionalText(name, charactersMax)
    if (text !== undefined && /\p{Cc}/u.test(text))
      throw malformed(`${name} holds control characters`)
    return text?.trim()
  }

  line(name: string): string {
    const text = this.optionalLine(name)
    if (text === undefined || text === '') throw malformed(`${name} is missing`)
    return text
  }

  count(name: string, min: number, max: number): number {
    const value = this.optionalCount(name, min, max)
    if (value === undefined) throw malformed(`${name} is missing`)
    return value
  }

  optionalCount(name: string, min: number, max: number): number | undefined {
    const value = this.#values[name]
    if (value === undefined || value === null || value === '') return undefined
    const number = typeof value === 'number' ? value : countOf(textOf(name, value))
    if (!Number.isSafeInteger(number) || number < min || number > max) {
      throw malformed(
        `${name} must be a whole number from ${min} to ${max}, not "${String(value).slice(0, 40)}"`,
      )
    }
    // `-0` is none.
    return number === 0 ? 0 : number
  }

  optionalChoice<T extends string>(name: string, choices: readonly T[]): T | undefined {
    const text = this.optionalText(name)
    if (text === undefined || text === '') return undefined
    const choice = choices.find((one) => one === text)
    if (choice === undefined)
      throw malformed(`${name} must be one of ${choices.join(', ')}, not "${text.slice(0, 40)}"`)
    return choice
  }
}

const LINE_CHARACTERS_MAX = 256
/** The highest number of a worker group. */
export const GROUP_MAX = 2 ** 31 - 1
/** Lines of a log in one answer. */
export const LINES_MAX = 10_000

function textOf(name: string, value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean')
    return String(value)
  throw malformed(`${name} must be one text or number`)
}

function countOf(text: string): number {
  return /^-?\d{1,16}$/.test(text.trim()) ? Number(text) : Number.NaN
}

export function malformed(message: string): TroupeError {
  return new TroupeError('malformed', message)
}
