/**
 * What a failure means for the thread. Decides: the level of everything that a step may throw. Nothing here
 * comes to `abort`: only what says so itself aborts a sector, since data would be lost by a mistake. Pure.
 *
 * Where workers of today differ: a manager that does not know the sector's state (11001) aborts there; here
 * the thread parks and a person decides.
 */
import { TaskError, TroupeError } from '../../../src/index.ts'
import { errnoOf } from '../stores/index.ts'
import { type FailureLevel, stepError } from '../thread/index.ts'
import { ManagerRefusal, SECTOR_STATE_NOT_FOUND } from '../venus/index.ts'

/** Of files and disks that do not mend themselves; a disk that is full, or a network, may be well again. */
const LASTING_ERRNOS = new Set([
  ...['EIO', 'EROFS', 'EACCES', 'EPERM', 'ENOENT', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENOTEMPTY'],
  ...['EXDEV', 'ELOOP', 'EMLINK', 'ENAMETOOLONG', 'EFBIG', 'ENODEV', 'ENXIO', 'EBADF', 'EINVAL'],
])
/** Deeper chains say nothing new. */
const CAUSES_MAX = 8

export interface StepFault {
  level: FailureLevel
  /** With the whole chain of causes. */
  message: string
  error: TaskError
}

export function faultOf(thrown: unknown): StepFault {
  const level = levelOf(thrown)
  const message = causeChain(thrown)
  const isStepError = thrown instanceof TaskError && levelIn(thrown) !== undefined
  const error = isStepError ? thrown : stepError(level, message, thrown)
  return { level, message, error }
}

function levelOf(thrown: unknown): FailureLevel {
  if (thrown instanceof TaskError) return levelIn(thrown) ?? 'temporary'
  if (thrown instanceof ManagerRefusal) {
    return thrown.code === SECTOR_STATE_NOT_FOUND ? 'permanent' : 'temporary'
  }
  if (thrown instanceof TroupeError) {
    if (thrown.code === 'store-failed') return 'critical'
    return thrown.retry ? 'temporary' : 'permanent'
  }
  const kind = processorKind(thrown)
  if (kind !== undefined) return kind === 'refused' ? 'permanent' : 'temporary'
  return LASTING_ERRNOS.has(errnoOf(thrown) ?? '') ? 'critical' : 'temporary'
}

/** Of an error of a processor. */
export function processorKind(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || thrown.name !== 'ProcessorError') return undefined
  return 'kind' in thrown ? String(thrown.kind) : undefined
}

function levelIn({ failure }: TaskError): FailureLevel | undefined {
  const { detail } = failure
  if (typeof detail !== 'object' || detail === null || !('level' in detail)) return undefined
  return detail.level as FailureLevel
}

export function causeChain(thrown: unknown): string {
  const words: string[] = []
  let one: unknown = thrown
  while (one !== undefined && words.length < CAUSES_MAX) {
    const word = one instanceof Error ? one.message : String(one)
    if (!words.some((said) => said.includes(word))) words.push(word)
    one = one instanceof Error ? one.cause : undefined
  }
  return words.join(': ')
}
