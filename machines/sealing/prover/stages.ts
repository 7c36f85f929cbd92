/**
 * Which code does which stage. Decides: that table; it runs in threads, so nothing here loads the
 * platform.
 */
import type { Report } from './cache.ts'
import { commit1, commit2 } from './commit.ts'
import { addPieces, treeD } from './pieces.ts'
import { preCommit1, preCommit2 } from './seal.ts'
import { snapEncode, snapProve, snapVanilla } from './snap.ts'
import type { ProverStage, TaskOf } from './tasks.ts'
import { transfer } from './transfer.ts'
import { unseal } from './unseal.ts'
import { windowPost } from './window-post.ts'

type Stages = {
  readonly [TStage in ProverStage]: (task: TaskOf<TStage>, report: Report) => unknown
}

const STAGES: Stages = {
  add_pieces: addPieces,
  tree_d: treeD,
  pc1: preCommit1,
  pc2: preCommit2,
  c1: commit1,
  c2: commit2,
  snap_encode: snapEncode,
  snap_vanilla: snapVanilla,
  snap_prove: snapProve,
  transfer,
  unseal,
  window_post: windowPost,
}

/** @param task checked by `parseTask` of the same stage */
export async function runStage(
  stage: ProverStage,
  task: unknown,
  report: Report,
): Promise<unknown> {
  const run = STAGES[stage] as (task: unknown, report: Report) => unknown
  return await run(task, report)
}
