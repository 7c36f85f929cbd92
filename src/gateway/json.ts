/**
 * JSON as it comes in. Decides: what counts as JSON here, and that nothing in it can reach into the
 * prototypes of JavaScript. JSON goes out by `toJson` of the protocol; both keep bigints.
 */
import { fromJson, TroupeError } from '../protocol/index.ts'

const SUSPICIOUS = /__proto__|\\u005f/i

/** @throws TroupeError `malformed` */
export function readJson(bytes: Uint8Array): unknown {
  const text = textOf(bytes)
  const value = fromJson(text)
  if (SUSPICIOUS.test(text)) refusePrototypes(value)
  return value
}

/** @throws TroupeError `malformed` when the bytes are not UTF-8 */
export function textOf(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new TroupeError('malformed', 'the body is not UTF-8', { cause })
  }
}

function refusePrototypes(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if (Object.hasOwn(value, '__proto__')) {
    throw new TroupeError('malformed', 'a field must not be named "__proto__"')
  }
  for (const inner of Object.values(value)) refusePrototypes(inner)
}
