/**
 * The task `blob-delete`: one try, on a node. Decides: how many a node has at work, and that whatever stands
 * in the way is an outcome, which the actor keeps and waits over. Leaves to others: the try (`delete-run.ts`).
 */
import { z } from 'zod'
import { nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { bidSchema } from '../codes/index.ts'
import { type DeleteOutcome, DeleteRun } from './delete-run.ts'
import { portsOf } from './ports.ts'
import { stageSchema } from './stages.ts'

/** They wait for disks more than they compute. */
const AT_ONCE = 6
/** A node that is killed in the middle of it is an attempt. */
const RETRY = { attemptsMax: 10, initialMs: 500, backoffMaxMs: 30_000 }

const deleteInput = z.object({
  vid: z.int(),
  bid: bidSchema,
  stages: z.array(stageSchema),
  isMoved: z.boolean(),
})
type DeleteInput = z.output<typeof deleteInput>

export interface Deleted extends DeleteOutcome {
  /** Unix ms. */
  at: number
}

export const blobDeleteTask = task<DeleteInput, Deleted>({
  name: 'blob-delete',
  queue: 'storage.blob-delete',
  runsOn: 'node',
  concurrency: AT_ONCE,
  input: deleteInput,
  retry: RETRY,
  run: remove,
})

async function remove(attempt: TaskAttempt<DeleteInput>): Promise<Deleted> {
  const { clock } = nodeOf(attempt)
  const { vid, bid, stages, isMoved } = attempt.input
  try {
    const ports = portsOf(attempt)
    const volume = await ports.volumes.view(vid, { fresh: isMoved })
    const outcome = await new DeleteRun(ports, volume, bid, stages).run(attempt.signal)
    return { ...outcome, at: clock.now() }
  } catch (thrown) {
    attempt.signal.throwIfAborted()
    if (!(thrown instanceof TroupeError)) throw thrown
    return { stages, why: thrown.message, isMoved: true, at: clock.now() }
  }
}
