/**
 * JSON as it comes in. Decides: what counts as JSON here, and that nothing in it can reach into the
 * prototypes of JavaScript. JSON goes out by `toJson` of the protocol; both keep bigints.
 */
import { isUtf8 } from 'node:buffer'
import { fromJson, TroupeError } from '../protocol/index.ts'

/** Some programs begin a text with it. */
const BYTE_ORDER_MARK = '\uFEFF'

const SUSPICIOUS = /__proto__|\\u005f/i

/** @throws TroupeError `malformed` */
export function readJson(bytes: Uint8Array): unknown {
  return readJsonText(textOf(bytes))
}

/** @throws TroupeError `malformed` */
export function readJsonText(text: string): unknown {
  const value = fromJson(text)
  if (SUSPICIOUS.test(text)) refusePrototypes(value)
  return value
}

/**
 * Whether all that is read from it is the same once it was packed: no tag stands for another type, no escape for
 * half a character, no method for what is packed in its place, and no zero is below itself.
 */
export function isPlainJson(text: string): boolean {
  if (text.includes('$') || text.includes('\\u')) return false
  return !text.includes('toJSON') && !NEGATIVE_ZERO.test(text)
}

/** And some that are not: those travel as a copy, too. */
const NEGATIVE_ZERO = /(?:^|[[,:\s])-0/

/** @throws TroupeError `malformed` when the bytes are not UTF-8 */
export function textOf(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new TroupeError('malformed', 'the body is not UTF-8')
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text
}

function refusePrototypes(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (Object.hasOwn(value, '__proto__')) {
    throw new TroupeError('malformed', 'a field must not be named "__proto__"')
  }
  for (const inner of Object.values(value)) refusePrototypes(inner)
}
