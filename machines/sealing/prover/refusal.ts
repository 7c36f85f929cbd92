/**
 * How the stages say no, in threads as well, where `TroupeError` is not loaded. Decides: the form.
 * Leaves to others: the error that callers get (`threads.ts`).
 */
import type { ErrorCode } from '../../../src/index.ts'

export class Refusal extends Error {
  override readonly name = 'Refusal'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** What a failure of any kind becomes on its way out of a thread. */
export interface Failure {
  code: ErrorCode
  message: string
}

export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof Refusal) return { code: thrown.code, message: thrown.message }
  if (!(thrown instanceof Error)) return { code: 'internal', message: String(thrown) }
  const { code, syscall, path = 'a file' } = thrown as NodeJS.ErrnoException
  if (syscall === undefined) return { code: 'internal', message: thrown.message }
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return { code: 'not-found', message: `there is no ${path}: repeat what makes it` }
  }
  // A full or failing disk may be well again.
  return { code: 'unavailable', message: `${path} cannot be used (${syscall}: ${code})` }
}
