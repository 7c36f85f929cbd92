/**
 * The shape of a plan: what can be done in each state of a sector, and where it leads. Decides: what a
 * row says. Leaves to others: the rows (`sealer.ts`, …), questions to them (`plans.ts`), the work.
 */
import type { PlanName, SectorState } from './states.ts'

/** Everything that a sector's record may hold, by the names of its fields. */
export const RECORD_KEYS = [
  'sector',
  'deals',
  'finalized',
  'pieces',
  'ticket',
  'pc1out',
  'pc2out',
  'pc2Resubmit',
  'persistedIn',
  'seed',
  'c1out',
  'c2out',
  'c2Resubmit',
  'snapEncodeOut',
  'snapProveOut',
  'unsealIn',
  'job',
  'jobOutput',
] as const
export type RecordKey = (typeof RECORD_KEYS)[number]

export interface PlanState {
  /** What is being done in this state, as operators are shown it. */
  stage: string | null
  /** The name under which its work is limited; none: it needs no place of a pool. */
  gate?: string
  /** The events that its step can end with, and the states that they lead to. */
  on: Readonly<Partial<Record<PlanEvent, SectorState>>>
  /** What the record has to hold for its step to run. */
  inputs: readonly RecordKey[]
  /** Worth choosing by hand. */
  offered?: true
}

/** A submission that the manager keeps: going back behind it, the next one has to replace it. */
export interface Submission {
  /** The state in which it is submitted. */
  state: SectorState
  flag: 'pc2Resubmit' | 'c2Resubmit'
}

export interface Plan {
  name: PlanName
  /** In the order in which a sector goes through them. */
  states: Readonly<Partial<Record<SectorState, PlanState>>>
  submissions: readonly Submission[]
  /** What an event removes from the record, so that later steps ask for it anew. */
  clears: Readonly<Partial<Record<PlanEvent, readonly RecordKey[]>>>
}

/** Every event of every plan, as the histories of sectors show it. */
export const PLAN_EVENTS = [
  'Allocate',
  'AcquireDeals',
  'AddPiece',
  'BuildTreeD',
  'AssignTicket',
  'PC1',
  'PC2',
  'PC2NeedSyntheticProof',
  'SyntheticPoRep',
  'SubmitPC',
  'CheckPC',
  'ReSubmitPC',
  'Persist',
  'SubmitPersistance',
  'AssignSeed',
  'C1',
  'C2',
  'SubmitProof',
  'ReSubmitProof',
  'Finish',
  'AllocatedSnapUpSector',
  'SnapEncode',
  'SnapProve',
  'RePersist',
  'AllocatedRebuildSector',
  'CheckSealed',
  'SkipSnap',
  'AllocatedUnsealSector',
  'UnsealDone',
  'UploadPieceDone',
  'Allocated',
  'Generate',
] as const
export type PlanEvent = (typeof PLAN_EVENTS)[number]
