/**
 * Values that Troupe did not make: thrown by the code of a machine, or sent from outside. Decides:
 * what is shown of them, and which of them cannot be carried on.
 */
import { pack } from './codec.ts'
import { messageOfThrown } from './errors.ts'

/** Texts for people are shown and kept for long (reasons, failures, notes): they stay short. */
export const TEXT_CHARS_MAX = 4_096

const CUT = ' … (cut)'

/** A text that stays short: it may be put into a record, a history and a reply. */
export function clipText(text: string): string {
  if (text.length <= TEXT_CHARS_MAX) return text
  return text.slice(0, TEXT_CHARS_MAX - CUT.length) + CUT
}

/** Why a value cannot be stored or sent; undefined when it can. */
export function whyUnpackable(value: unknown): string | undefined {
  try {
    pack(value)
    return undefined
  } catch (thrown) {
    return messageOfThrown(thrown)
  }
}

/** Whether lists, objects, Maps and Sets stand in each other more than `levelsMax` deep. */
export function nestsDeeper(value: unknown, levelsMax: number): boolean {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return false
  if (levelsMax === 0) return true
  if (Array.isArray(value) || value instanceof Set) {
    for (const item of value) if (nestsDeeper(item, levelsMax - 1)) return true
    return false
  }
  if (value instanceof Map) {
    for (const [key, item] of value) {
      if (nestsDeeper(key, levelsMax - 1) || nestsDeeper(item, levelsMax - 1)) return true
    }
    return false
  }
  const fields = value as Record<string, unknown>
  for (const field in fields) if (nestsDeeper(fields[field], levelsMax - 1)) return true
  return false
}
