/**
 * What a shell learns from `troupe`. Decides: the exit code of each failure.
 */
import { type ErrorCode, TroupeError } from '../protocol/light.ts'

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  notFound: 4,
  conflict: 5,
  retry: 6,
} as const

/** Exhaustive by its type. */
const BY_CODE: Readonly<Record<ErrorCode, number>> = {
  malformed: EXIT.usage,
  'invalid-address': EXIT.usage,
  'invalid-query': EXIT.usage,
  'invalid-config': EXIT.usage,
  'unknown-machine': EXIT.notFound,
  'unknown-actor': EXIT.notFound,
  'not-found': EXIT.notFound,
  'task-gone': EXIT.notFound,
  'already-exists': EXIT.conflict,
  finished: EXIT.conflict,
  parked: EXIT.conflict,
  conflict: EXIT.conflict,
  expired: EXIT.conflict,
  'task-held': EXIT.conflict,
  'task-stale': EXIT.conflict,
  'version-unknown': EXIT.conflict,
  busy: EXIT.retry,
  unavailable: EXIT.retry,
  moved: EXIT.retry,
  'no-answer': EXIT.retry,
  'invalid-input': EXIT.failed,
  'invalid-event': EXIT.failed,
  'invalid-context': EXIT.failed,
  'unknown-state': EXIT.failed,
  'too-large': EXIT.failed,
  'limit-exceeded': EXIT.failed,
  'clock-skew': EXIT.failed,
  deadline: EXIT.failed,
  'not-hosted': EXIT.failed,
  unauthorized: EXIT.failed,
  forbidden: EXIT.failed,
  'store-failed': EXIT.failed,
  internal: EXIT.failed,
}

/** Nobody listens at the address: not an answer of Troupe, so not one of its errors. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable'
}

/** The command line itself is wrong. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export function exitCodeOf(thrown: unknown): number {
  if (thrown instanceof Unreachable) return EXIT.unreachable
  if (thrown instanceof UsageError) return EXIT.usage
  return thrown instanceof TroupeError ? BY_CODE[thrown.code] : EXIT.failed
}

/** As shells have it: 128 and the number of the signal. */
export function signalExitCode(signal: string): number {
  return signal === 'SIGINT' ? 130 : 143
}

export const EXIT_HELP = `
Exit codes:
  0    done
  1    failed, or refused by the machine (schema, unknown state, limits); what a verb has waited
       for has failed (jobs status --wait, jobs result)
  2    the command line, an address, a filter or the configuration is wrong
  3    no node answers at the URL
  4    there is no such actor, machine or thing
  5    it does not fit the present condition of the actor
  6    not now: try again (busy, unavailable, no answer in time)
  130  interrupted by Ctrl-C (143: by SIGTERM)
Verbs of apps may return others.
`
