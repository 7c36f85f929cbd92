/** The plan `sealer`: a sector from nothing to a proof on the chain. A table; nothing is decided here. */
import type { Plan } from './table.ts'

export const SEALER: Plan = {
  name: 'sealer',
  states: {
    Empty: { stage: null, on: { Allocate: 'Allocated' }, inputs: [] },
    Allocated: { stage: 'AcquireDeals', on: { AcquireDeals: 'DealsAcquired' }, inputs: ['sector'] },
    DealsAcquired: {
      stage: 'AddPieces',
      gate: 'add_pieces',
      on: { AddPiece: 'PieceAdded' },
      inputs: ['sector'],
    },
    PieceAdded: {
      stage: 'TreeD',
      gate: 'tree_d',
      on: { BuildTreeD: 'TreeDBuilt' },
      inputs: ['sector', 'pieces'],
    },
    TreeDBuilt: {
      stage: 'AssignTicket',
      on: { AssignTicket: 'TicketAssigned' },
      inputs: ['sector', 'pieces'],
      offered: true,
    },
    TicketAssigned: {
      stage: 'PC1',
      gate: 'pc1',
      on: { PC1: 'PC1Done' },
      inputs: ['sector', 'pieces'],
    },
    PC1Done: {
      stage: 'PC2',
      gate: 'pc2',
      on: { PC2: 'PC2Done', PC2NeedSyntheticProof: 'SyntheticPoRepNeeded' },
      inputs: ['sector', 'pieces', 'ticket', 'pc1out'],
      offered: true,
    },
    SyntheticPoRepNeeded: {
      stage: 'SyntheticPoRep',
      gate: 'synth_proof',
      on: { SyntheticPoRep: 'PC2Done' },
      inputs: ['sector', 'pieces', 'ticket', 'pc2out'],
    },
    PC2Done: {
      stage: 'SubmitPreCommit',
      on: { SubmitPC: 'PCSubmitted' },
      inputs: ['sector', 'pieces', 'ticket', 'pc2out'],
      offered: true,
    },
    PCSubmitted: {
      stage: 'WaitPCLanded',
      on: { CheckPC: 'PCLanded', ReSubmitPC: 'PC2Done' },
      inputs: ['sector', 'ticket', 'pc2out'],
    },
    PCLanded: {
      stage: 'PersistFiles',
      gate: 'transfer',
      on: { Persist: 'Persisted' },
      inputs: ['sector', 'pc2out'],
      offered: true,
    },
    Persisted: {
      stage: 'SubmitPersisted',
      on: { SubmitPersistance: 'PersistanceSubmitted' },
      inputs: ['sector', 'persistedIn'],
    },
    PersistanceSubmitted: {
      stage: 'WaitSeed',
      on: { AssignSeed: 'SeedAssigned' },
      inputs: ['sector', 'pc2out'],
      offered: true,
    },
    SeedAssigned: {
      stage: 'C1',
      gate: 'c1',
      on: { C1: 'C1Done' },
      inputs: ['sector', 'pieces', 'ticket', 'pc2out', 'seed'],
      offered: true,
    },
    C1Done: {
      stage: 'C2',
      gate: 'c2',
      on: { C2: 'C2Done' },
      inputs: ['sector', 'c1out'],
      offered: true,
    },
    C2Done: {
      stage: 'SubmitProof',
      on: { SubmitProof: 'ProofSubmitted' },
      inputs: ['sector', 'c2out'],
      offered: true,
    },
    ProofSubmitted: {
      stage: 'WaitProofLanded',
      on: { Finish: 'Finished', ReSubmitProof: 'C2Done' },
      inputs: ['sector', 'c2out'],
    },
    Finished: { stage: null, on: {}, inputs: ['sector'] },
    Aborted: { stage: null, on: {}, inputs: ['sector'], offered: true },
  },
  submissions: [
    { state: 'PC2Done', flag: 'pc2Resubmit' },
    { state: 'C2Done', flag: 'c2Resubmit' },
  ],
  clears: { AssignTicket: ['ticket'] },
}
