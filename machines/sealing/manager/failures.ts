/**
 * What goes wrong in a call to the manager. Decides: the code of JSON-RPC, and what the caller may do.
 */
import { TroupeError } from '../../../src/index.ts'
import { SECTOR_STATE_NOT_FOUND, type SectorId, sectorName } from '../venus/index.ts'

/** As managers of the Venus family answer whatever has no code of its own. */
export const FAILED = 1

/** An answer with an error: the caller is told code and message. */
export class CallFailure extends Error {
  override readonly name = 'CallFailure'
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export function unknownSector(id: SectorId): CallFailure {
  const why = `sector state not found: this manager has no record of ${sectorName(id)}`
  return new CallFailure(SECTOR_STATE_NOT_FOUND, why)
}

export function isCode(thrown: unknown, code: TroupeError['code']): thrown is TroupeError {
  return thrown instanceof TroupeError && thrown.code === code
}
