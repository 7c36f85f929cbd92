/**
 * Which code does the work of which state. Decides: that each state of each plan has one. Leaves to others:
 * where its event leads (room `plans`).
 */
import type { PlanName, SectorState } from '../plans/index.ts'
import {
  acquireDeals,
  allocate,
  allocateRebuild,
  allocateSnapUp,
  allocateUnseal,
} from './allocating.ts'
import { abort, finish, finishUnseal } from './ending.ts'
import { persist, submitPersisted } from './persisting.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { c1, c2, checkSealed, pc1, pc2, syntheticPoRep } from './sealing.ts'
import { snapEncode, snapProve } from './snapping.ts'
import { addPieces, buildSnapTreeD, buildTreeD, prepareForSnap } from './staging.ts'
import {
  checkPreCommit,
  checkProof,
  submitPreCommit,
  submitProof,
  submitSnapUp,
  waitSeed,
} from './submitting.ts'
import { unseal, uploadPiece } from './unsealing.ts'
import { allocateJob, endJob, generate, reportJob } from './window-post.ts'

export type StepWork = (scene: Scene) => Promise<StepResult>
type PlanWork = Readonly<Partial<Record<SectorState, StepWork>>>

/** It clears the ticket of the record, so that PC1 asks for one: a ticket is worth the more the younger it is. */
const clearTicket: StepWork = async () => ({ event: 'AssignTicket', record: {} })

const SEALER: PlanWork = {
  Empty: allocate,
  Allocated: acquireDeals,
  DealsAcquired: addPieces,
  PieceAdded: buildTreeD,
  TreeDBuilt: clearTicket,
  TicketAssigned: pc1,
  PC1Done: pc2,
  SyntheticPoRepNeeded: syntheticPoRep,
  PC2Done: submitPreCommit,
  PCSubmitted: checkPreCommit,
  PCLanded: persist,
  Persisted: submitPersisted,
  PersistanceSubmitted: waitSeed,
  SeedAssigned: c1,
  C1Done: c2,
  C2Done: submitProof,
  ProofSubmitted: checkProof,
  Finished: finish,
  Aborted: abort,
}

const SNAPUP: PlanWork = {
  Empty: allocateSnapUp,
  Allocated: addPieces,
  PieceAdded: buildTreeD,
  TreeDBuilt: snapEncode,
  SnapEncoded: snapProve,
  SnapProved: persist,
  Persisted: submitSnapUp,
  Finished: finish,
  Aborted: abort,
}

const REBUILD: PlanWork = {
  Empty: allocateRebuild,
  Allocated: addPieces,
  PieceAdded: buildTreeD,
  TreeDBuilt: pc1,
  PC1Done: pc2,
  SyntheticPoRepNeeded: syntheticPoRep,
  PC2Done: checkSealed,
  SealedChecked: prepareForSnap,
  SnapPieceAdded: buildSnapTreeD,
  SnapTreeDBuilt: snapEncode,
  SnapEncoded: snapProve,
  SnapDone: persist,
  Persisted: submitPersisted,
  Finished: finish,
  Aborted: abort,
}

const UNSEAL: PlanWork = {
  Empty: allocateUnseal,
  Allocated: unseal,
  Unsealed: uploadPiece,
  Finished: finishUnseal,
}

const WDPOST: PlanWork = {
  Empty: allocateJob,
  Allocated: generate,
  Generated: reportJob,
  Finished: endJob,
  Aborted: endJob,
}

export const STEP_WORK: Readonly<Record<PlanName, PlanWork>> = {
  sealer: SEALER,
  snapup: SNAPUP,
  rebuild: REBUILD,
  unseal: UNSEAL,
  wdpost: WDPOST,
}
