export { CheckpointAccess } from './checkpoint-access.ts'
export type { Checkpoint } from './checkpoint-form.ts'
export { type CheckpointLoaded, CheckpointLoading } from './checkpoint-loading.ts'
export { type CheckpointPlace, placeOf } from './checkpoint-place.ts'
export {
  CheckpointWriting,
  type CheckpointWritingDeps,
  type CheckpointWritten,
} from './checkpoint-writing.ts'
export type { CommitOutcome, CommitPath, CommitRequest, TakeOutcome } from './commit.ts'
export { EmbeddedCommit, type OwnerCondition } from './embedded-commit.ts'
export { type EngineState, ShardEngine } from './engine.ts'
export type { EngineDeps, EngineStop, LiveHost } from './engine-deps.ts'
export type { Machines } from './heads.ts'
export { JournaledCommit } from './journaled-commit.ts'
export type { JournaledCommitDeps, OtherTail, OtherTails, TailRequest } from './journaled-deps.ts'
export { nodeKey } from './keys.ts'
export { type Incarnation, newIncarnation, reincarnated } from './new-incarnation.ts'
export {
  type Begun,
  type Found,
  publishedRow,
  ShardPublication,
  type Uploaded,
} from './publication.ts'
export { ReadTurn, ReadTurns } from './read-turns.ts'
export { ResidentBudget } from './resident-budget.ts'
export {
  judgeRollOut,
  type RollOutOutcome,
  type RollOutVerdict,
  storedAsViewed,
  type ViewedActor,
} from './roll-out.ts'
export { RowReader } from './row-reader.ts'
export { type ShardServer, serveShard } from './server.ts'
export { ShardsHere } from './shards-here.ts'
export { type KnownEnd, SlotReader } from './slot-reader.ts'
export { type Epoch, isOfEpoch } from './slot-records.ts'
export {
  type Applied,
  brokenChain,
  followsAnother,
  recordOf,
  rowsOf,
  Tail,
  type TailRow,
} from './tail.ts'
export {
  type Problem,
  type ProblemKind,
  type Repair,
  type ReportProblem,
  ShardVerification,
  type VerifiedShard,
} from './verification.ts'
export { verifyEnds } from './verify-channels.ts'
export { WalkTurns } from './walk-turns.ts'
