/** The header `Range` (RFC 9110, section 14). Decides: one range of bytes is served, all else is ignored. */
import type { ByteRange } from './ports.ts'

/**
 * What is asked for of so many bytes. Undefined: all of it, as the header is absent, of several ranges, or
 * cannot be read. Null: nothing of what is asked for is there.
 */
export function rangeOf(header: string | undefined, size: number): ByteRange | undefined | null {
  const [, first = '', last = ''] = /^bytes=(\d{0,16})-(\d{0,16})$/.exec(header?.trim() ?? '') ?? []
  if (first === '' && last === '') return undefined
  if (first === '') {
    const count = Math.min(Number(last), size)
    return count === 0 ? null : { from: size - count, to: size }
  }
  const from = Number(first)
  const to = last === '' ? size : Math.min(Number(last) + 1, size)
  if (last !== '' && Number(last) < from) return undefined
  return from < size ? { from, to } : null
}
