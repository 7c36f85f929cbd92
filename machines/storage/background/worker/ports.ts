/** What the work on a chunk needs of other rooms. Decides: nothing; tests put twins behind it. */
import type { FarChunks } from '../../plane/blobnode/index.ts'
import type { CodeMode } from '../../plane/codes/index.ts'

/** Chunks near and far. @throws TroupeError: the blobnode's refusal, or `unavailable` */
export type ChunkCalls = FarChunks

export interface StripeMemory {
  shard(index: number): Buffer
}

export interface RecoveryCode<TStripe extends StripeMemory = StripeMemory> {
  stripe(mode: CodeMode, blobBytes: number): TStripe
  rebuild(stripe: TStripe, present: readonly number[], wanted: readonly number[]): Promise<void>
  release(stripe: TStripe): void
}
