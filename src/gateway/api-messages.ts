/**
 * The form of requests and answers of the API over the transport: a line of JSON, and behind it the body as
 * it would stand in HTTP.
 *
 *     troupe.<cluster>.api.<role>.ask           {"method":"GET","path":"/troupe/v1/actors?limit=2"}
 *                                               {"status":200,"type":"application/json; …"}⏎{"rows":[…]}
 *     troupe.<cluster>.api.<role>.more.<node>   {"stream":"Jk…","part":1}
 *                                               {"part":1}⏎…, then {"part":7,"end":true}⏎…
 *
 * An answer that does not fit a message, or goes on, says where the rest is (`more`). Its reader asks for it
 * part by part, so nobody is sent more than he takes; a part whose message was lost is asked for again. A part
 * without a body is a sign of life, or says the end of what came before. Who has all, or wants no more, says
 * `stop`: until then the node keeps the last part. Decides: the form, for both sides.
 */
import { z } from 'zod'
import { TroupeError } from '../protocol/index.ts'

const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const
const WORD = { error: 'must be a line of letters, digits and signs' }
/** It becomes a header. */
const word = z
  .string()
  .max(1_024)
  .regex(/^[\x20-\x7e]*$/, WORD)

export const ASK = z.strictObject({
  method: z.enum(METHODS),
  /** Behind a question mark the parameters. What else stands in a URL is percent-encoded. */
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, { error: 'begins with a slash, and is encoded as in a URL' }),
  /** Who asks, for histories and the audit trail. */
  author: z
    .string()
    .max(1_024)
    .regex(/^\P{C}*$/u, WORD)
    .optional(),
  /** A command id, as the header `Idempotency-Key`. */
  id: word.optional(),
  timeoutMs: z.number().optional(),
  /** Of a watch: the id of the event that was seen last. */
  after: word.optional(),
})
export type ApiAsk = z.infer<typeof ASK>

export const MORE = z.strictObject({
  stream: z.string(),
  /** The one that is wanted: the next, or the same again. */
  part: z.int().min(1),
  /** Nobody wants more, nor the same again. */
  stop: z.literal(true).optional(),
})
export type ApiMore = z.infer<typeof MORE>

const answerHead = z.object({
  status: z.int(),
  /** The media type of the body. */
  type: z.string().optional(),
  more: z.object({ node: z.string(), stream: z.string() }).optional(),
})
export type ApiAnswer = z.infer<typeof answerHead>

const partHead = z.object({
  part: z.int(),
  end: z.literal(true).optional(),
  /** It cannot be given: the node forgot it, or what made it broke off. */
  broken: z.string().optional(),
})
export type ApiPart = z.infer<typeof partHead>

const LINE_END = 0x0a
const NOTHING = new Uint8Array()

export function messageOf(head: object, body: Uint8Array = NOTHING): Uint8Array {
  const line = Buffer.from(JSON.stringify(head))
  return body.length === 0 ? line : Buffer.concat([line, Uint8Array.of(LINE_END), body])
}

export interface Message<T> {
  head: T
  body: Uint8Array
}

export function readAnswer(message: Uint8Array): Message<ApiAnswer> {
  return read(message, answerHead)
}

export function readPart(message: Uint8Array): Message<ApiPart> {
  return read(message, partHead)
}

/** @throws TroupeError `malformed` */
export function read<T>(message: Uint8Array, schema: z.ZodType<T>): Message<T> {
  const end = message.indexOf(LINE_END)
  const line = end < 0 ? message : message.subarray(0, end)
  const body = end < 0 ? NOTHING : message.subarray(end + 1)
  const parsed = schema.safeParse(jsonOf(line))
  if (parsed.success) return { head: parsed.data, body }
  const [issue] = parsed.error.issues
  const where = issue?.path.length ? `${issue.path.join('.')}: ` : ''
  throw new TroupeError(
    'malformed',
    `the first line is not what is wanted: ${where}${issue?.message}`,
  )
}

function jsonOf(line: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(line).toString('utf8'))
  } catch (cause) {
    throw new TroupeError('malformed', 'the first line is not JSON', { cause })
  }
}
