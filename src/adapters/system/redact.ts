/**
 * Takes secrets out of what is about to be logged.
 *
 * Decides: which names are secret (compared without case, `_` and `-`), how deep is looked, and
 * that bytes are told by their length. The given object is never changed; it is copied only along
 * the paths where something was taken out.
 */
import { stdSerializers } from 'pino'

const SECRET_NAMES = new Set([
  'token',
  'tokensha256',
  'key',
  'appkey',
  'password',
  'secret',
  'authorization',
  'cookie',
])
const REDACTED = '[redacted]'
const DEPTH_MAX = 8

export function redact(fields: object): object {
  return redactValue(fields, 0) as object
}

function isSecret(name: string): boolean {
  if (SECRET_NAMES.has(name)) return true
  return SECRET_NAMES.has(name.replace(/[-_]/g, '').toLowerCase())
}

function redactValue(value: unknown, depth: number): unknown {
  if (value === null || typeof value !== 'object') return value
  if (ArrayBuffer.isView(value)) return `<${value.byteLength} bytes>`
  if (depth >= DEPTH_MAX) return '[deep]'
  // Errors of HTTP clients carry whole requests, headers included, as plain properties.
  if (value instanceof Error) return redactObject({ ...stdSerializers.err(value) }, depth)
  if (value instanceof Map) return redactObject(Object.fromEntries(value) as object, depth)
  if (value instanceof Set) return redactArray([...value], depth)
  if (Array.isArray(value)) return redactArray(value, depth)
  if (typeof (value as { toJSON?: unknown }).toJSON === 'function') {
    const json = (value as { toJSON(): unknown }).toJSON()
    return json === value ? redactObject(value, depth) : redactValue(json, depth + 1)
  }
  return redactObject(value, depth)
}

function redactArray(values: unknown[], depth: number): unknown[] {
  let copy: unknown[] | undefined
  for (let i = 0; i < values.length; i++) {
    const safe = redactValue(values[i], depth + 1)
    if (safe === values[i]) continue
    copy ??= [...values]
    copy[i] = safe
  }
  return copy ?? values
}

function redactObject(value: object, depth: number): object {
  const source = value as Record<string, unknown>
  let copy: Record<string, unknown> | undefined
  for (const name of Object.keys(source)) {
    const before = source[name]
    const safe = isSecret(name) && before != null ? REDACTED : redactValue(before, depth + 1)
    if (safe === before) continue
    copy ??= { ...source }
    copy[name] = safe
  }
  return copy ?? value
}
