/**
 * Command ids: `<issuedAt in unix ms>-<anything unique>`.
 *
 * The time is part of the id so that an engine can tell an id that it has forgotten from one that it
 * has never seen: past the dedupe window a repeat is refused, never applied again.
 */
import { TroupeError } from './errors.ts'

const COMMAND_ID = /^\d{10,15}-[\x21-\x7e]{1,128}$/

export function formatCommandId(issuedAtMs: number, unique: string): string {
  return `${issuedAtMs}-${unique}`
}

/** @throws TroupeError `malformed` with the form that is wanted */
export function issuedAtOf(commandId: string): number {
  if (!COMMAND_ID.test(commandId)) {
    throw new TroupeError(
      'malformed',
      `"${commandId.slice(0, 80)}" is not a command id: it is the unix time in ms, "-", and 1 to 128 printable ASCII characters, as in 1767225600000-order-17`,
    )
  }
  return Number(commandId.slice(0, commandId.indexOf('-')))
}
