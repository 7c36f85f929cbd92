/**
 * The plan `rebuild`: the files of a sector that is on the chain already, made anew. A table; nothing is
 * decided here.
 */
import type { Plan } from './table.ts'

export const REBUILD: Plan = {
  name: 'rebuild',
  states: {
    Empty: { stage: null, on: { AllocatedRebuildSector: 'Allocated' }, inputs: [] },
    Allocated: {
      stage: 'AddPieces',
      gate: 'add_pieces',
      on: { AddPiece: 'PieceAdded' },
      inputs: ['sector', 'ticket'],
      offered: true,
    },
    PieceAdded: {
      stage: 'TreeD',
      gate: 'tree_d',
      on: { BuildTreeD: 'TreeDBuilt' },
      inputs: ['sector', 'ticket', 'pieces'],
    },
    TreeDBuilt: {
      stage: 'PC1',
      gate: 'pc1',
      on: { PC1: 'PC1Done' },
      inputs: ['sector', 'ticket', 'pieces'],
      offered: true,
    },
    PC1Done: {
      stage: 'PC2',
      gate: 'pc2',
      on: { PC2: 'PC2Done', PC2NeedSyntheticProof: 'SyntheticPoRepNeeded' },
      inputs: ['sector', 'ticket', 'pieces', 'pc1out'],
      offered: true,
    },
    SyntheticPoRepNeeded: {
      stage: 'SyntheticPoRep',
      gate: 'synth_proof',
      on: { SyntheticPoRep: 'PC2Done' },
      inputs: ['sector', 'ticket', 'pieces', 'pc2out'],
    },
    PC2Done: {
      stage: 'C1',
      gate: 'c1',
      on: { CheckSealed: 'SealedChecked' },
      inputs: ['sector', 'ticket', 'pieces', 'pc2out'],
    },
    SealedChecked: {
      stage: 'PrepareForSnapup',
      gate: 'add_pieces',
      on: { SkipSnap: 'SnapDone', AddPiece: 'SnapPieceAdded' },
      inputs: ['sector', 'pc2out'],
      offered: true,
    },
    SnapPieceAdded: {
      stage: 'TreeD',
      gate: 'tree_d',
      on: { BuildTreeD: 'SnapTreeDBuilt' },
      inputs: ['sector', 'finalized', 'pieces', 'pc2out'],
    },
    SnapTreeDBuilt: {
      stage: 'SnapEncode',
      gate: 'snap_encode',
      on: { SnapEncode: 'SnapEncoded' },
      inputs: ['sector', 'finalized', 'pieces', 'pc2out'],
    },
    SnapEncoded: {
      stage: 'SnapProve',
      gate: 'snap_prove',
      on: { SnapProve: 'SnapDone' },
      inputs: ['sector', 'finalized', 'pieces', 'pc2out', 'snapEncodeOut'],
    },
    SnapDone: {
      stage: 'PersistFiles',
      gate: 'transfer',
      on: { Persist: 'Persisted' },
      inputs: ['sector', 'pc2out'],
      offered: true,
    },
    Persisted: {
      stage: 'SubmitPersisted',
      on: { SubmitPersistance: 'Finished' },
      inputs: ['sector', 'persistedIn'],
    },
    Finished: { stage: null, on: {}, inputs: ['sector'] },
    Aborted: { stage: null, on: {}, inputs: ['sector'], offered: true },
  },
  submissions: [],
  clears: {},
}
