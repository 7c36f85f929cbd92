/** The plan `snapup`: deals into a sector that was sealed without. A table; nothing is decided here. */
import type { Plan } from './table.ts'

export const SNAPUP: Plan = {
  name: 'snapup',
  states: {
    Empty: { stage: null, on: { AllocatedSnapUpSector: 'Allocated' }, inputs: [] },
    Allocated: {
      stage: 'AddPieces',
      gate: 'add_pieces',
      on: { AddPiece: 'PieceAdded' },
      inputs: ['sector', 'deals', 'finalized'],
      offered: true,
    },
    PieceAdded: {
      stage: 'TreeD',
      gate: 'tree_d',
      on: { BuildTreeD: 'TreeDBuilt' },
      inputs: ['sector', 'finalized', 'pieces'],
    },
    TreeDBuilt: {
      stage: 'SnapEncode',
      gate: 'snap_encode',
      on: { SnapEncode: 'SnapEncoded' },
      inputs: ['sector', 'finalized', 'pieces'],
      offered: true,
    },
    SnapEncoded: {
      stage: 'SnapProve',
      gate: 'snap_prove',
      on: { SnapProve: 'SnapProved' },
      inputs: ['sector', 'finalized', 'pieces', 'snapEncodeOut'],
      offered: true,
    },
    SnapProved: {
      stage: 'PersistFiles',
      gate: 'transfer',
      on: { Persist: 'Persisted' },
      inputs: ['sector', 'snapEncodeOut', 'snapProveOut'],
      offered: true,
    },
    Persisted: {
      stage: 'SubmitSnapupProof',
      on: { Finish: 'Finished', RePersist: 'SnapProved' },
      inputs: ['sector', 'pieces', 'snapEncodeOut', 'snapProveOut', 'persistedIn'],
    },
    Finished: { stage: null, on: {}, inputs: ['sector'] },
    Aborted: { stage: null, on: {}, inputs: ['sector'], offered: true },
  },
  submissions: [],
  clears: {},
}
