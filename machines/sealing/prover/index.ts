/** The room of the reference prover: real work at small sizes, and the verifiers of its proofs. */
export type { Verdict } from './checks.ts'
export { proverHandlers } from './handlers.ts'
export { zeroRoot } from './merkle.ts'
export { commitmentOf } from './pieces.ts'
export { type ProcessorOptions, runProcessor } from './processor.ts'
export { PROVER_STAGES, type ProverStage, SECTOR_BYTES_MAX } from './tasks.ts'
export type { Progress } from './thread.ts'
export { type ProverRunOptions, ProverThreads } from './threads.ts'
export { PROCESSOR_HELP, processorVerb } from './verb.ts'
export {
  type SealClaim,
  type SnapClaim,
  verify,
  verifySnap,
  verifyWindowPost,
  type WindowPostClaim,
} from './verify.ts'
