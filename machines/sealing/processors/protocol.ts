/**
 * The lines between the worker and a child. Pure.
 *
 * Decides: what each line says, and which request an unreadable one belongs to. To the child:
 * `{"id":1,"task":…}`, and `{"id":1,"cancel":true}` if it announced that it knows it. From the child: first
 * `<stage> processor ready`, with the extensions it knows behind it (`{"cancel":true,"progress":true}`)
 * or nothing, as processors of today do; then `{"id":1,"err_msg":…,"output":…}` with exactly one of the
 * two, in any order, and `{"id":1,"progress":…}` at any time. An error with `"retry":true` says that the
 * same request may do well later.
 */
import { z } from 'zod'

/** The extensions of ours that a child knows. */
export interface Abilities {
  cancel: boolean
  progress: boolean
}

export type ReadyLine =
  | { kind: 'ready'; abilities: Abilities }
  /** It is ready for another stage: the configuration is wrong. */
  | { kind: 'other-stage'; stage: string }
  /** Something else, such as a banner. */
  | { kind: 'noise' }

export type ReplyLine =
  | { kind: 'output'; id: number; output: unknown }
  | { kind: 'refused'; id: number; message: string; isPassing: boolean }
  | { kind: 'progress'; id: number; progress: unknown }
  /** `ids`: the requests that it may be meant for, the likeliest first. */
  | { kind: 'unreadable'; ids: number[]; why: string }

const READY = /^(\S+) processor ready(?:\s+(\{.*\}))?$/
const ID_IN_TEXT = /"id"\s*:\s*(\d{1,16})(?!\d)/g
/** Where an id is looked for in a line that cannot be read. */
const SEARCHED_CHARS = 4_096

const abilities = z.object({
  cancel: z.boolean().default(false),
  progress: z.boolean().default(false),
})

const reply = z.object({
  id: z.int().min(0),
  err_msg: z.string().nullish(),
  output: z.unknown().optional(),
  progress: z.unknown().optional(),
  // Foreign processors may mean something else by it.
  retry: z.literal(true).optional().catch(undefined),
})

export function requestLine(id: number, task: unknown): string {
  return `${JSON.stringify({ id, task })}\n`
}

export function cancelLine(id: number): string {
  return `${JSON.stringify({ id, cancel: true })}\n`
}

export function readReady(text: string, stage: string): ReadyLine {
  const match = READY.exec(text.trim())
  if (match === null) return { kind: 'noise' }
  const [, named = '', suffix] = match
  if (named !== stage) return { kind: 'other-stage', stage: named }
  const known = abilities.safeParse(suffix === undefined ? {} : jsonOf(suffix))
  // An announcement that cannot be read announces nothing: the child still works.
  const none = { cancel: false, progress: false }
  return { kind: 'ready', abilities: known.success ? known.data : none }
}

export function readReply(text: string): ReplyLine {
  const whole = reply.safeParse(jsonOf(text))
  if (whole.success) return replyOf(whole.data)
  // A library of the child printed something without an end of line before the reply.
  const begins = text.indexOf('{"id":')
  const rest = begins > 0 ? reply.safeParse(jsonOf(text.slice(begins))) : whole
  return rest.success ? replyOf(rest.data) : unreadable(text, 'it is not a reply')
}

/** For a line of which only the beginning is known, too. */
export function unreadable(text: string, why: string): ReplyLine & { kind: 'unreadable' } {
  const found = text.slice(0, SEARCHED_CHARS).matchAll(ID_IN_TEXT)
  return { kind: 'unreadable', ids: [...found].map((match) => Number(match[1])), why }
}

function replyOf(read: z.infer<typeof reply>): ReplyLine {
  const { id, err_msg: error, output, progress, retry: isPassing = false } = read
  const hasOutput = output !== undefined && output !== null
  if (typeof error === 'string') return { kind: 'refused', id, message: error, isPassing }
  if (hasOutput) return { kind: 'output', id, output }
  if (progress !== undefined) return { kind: 'progress', id, progress }
  return { kind: 'unreadable', ids: [id], why: 'it has neither err_msg nor output' }
}

/** Undefined for what is no JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
