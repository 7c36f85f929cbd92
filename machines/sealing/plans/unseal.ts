/**
 * The plan `unseal`: a piece out of a sealed sector, to where somebody wants it. It has no `Aborted`: there
 * is nothing that an abort could give back. A table; nothing is decided here.
 */
import type { Plan } from './table.ts'

export const UNSEAL: Plan = {
  name: 'unseal',
  states: {
    Empty: { stage: null, on: { AllocatedUnsealSector: 'Allocated' }, inputs: [] },
    Allocated: {
      stage: 'Unseal',
      gate: 'unseal',
      on: { UnsealDone: 'Unsealed' },
      inputs: ['sector', 'ticket', 'finalized', 'unsealIn'],
      offered: true,
    },
    Unsealed: {
      stage: 'UploadPiece',
      on: { UploadPieceDone: 'Finished' },
      inputs: ['sector', 'unsealIn'],
      offered: true,
    },
    Finished: { stage: null, on: {}, inputs: ['sector'] },
  },
  submissions: [],
  clears: {},
}
