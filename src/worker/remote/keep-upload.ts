/**
 * Taking what a worker brings of a run. Decides: that the first of it proves itself by the attempt's
 * token; the rest is let in after it, also when the task is gone meanwhile.
 */
import type { Client } from '../../client/index.ts'
import type { RunKept, RunUpload } from '../../ports/index.ts'
import type { UploadedRuns } from './uploaded-runs.ts'

/**
 * @param isGranted whether the attempt is known to be the worker's without asking its owner
 * @throws TroupeError `forbidden`, `task-gone`, `task-stale`
 */
export async function keepUpload(
  { runs, client }: { runs: UploadedRuns; client: Client },
  worker: string,
  upload: RunUpload,
  isGranted: () => boolean = () => false,
): Promise<RunKept> {
  if (!runs.knows(worker, upload)) {
    const { address, taskId, token } = upload
    if (!isGranted()) await client.execute(address, { op: 'task.beat', taskId, token })
    runs.begin(worker, upload)
  }
  return runs.append(upload)
}
