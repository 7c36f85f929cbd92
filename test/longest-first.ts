/**
 * In which order vitest takes the test files. Decides: a file that takes long comes early, or one worker would still
 * be busy with it when the others have nothing left. Vitest knows that from earlier runs; a fresh clone has had
 * none, and there the size of a file says little. Those that compute come first: the steps that run beside the tests
 * then disturb none that waits.
 */
import { relative } from 'node:path'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** What takes more than 10 s, longest first. */
export const LONGEST: readonly string[] = [
  'test/simulation/simulation.test.ts',
  'test/model/model.test.ts',
  'test/cluster/losses.test.ts',
  'test/cluster/chaos.test.ts',
  'test/machines/jobs/paths.test.ts',
  'test/simulation/scenarios.test.ts',
  'test/cluster/processes/processes.test.ts',
  'test/crash/crash.test.ts',
  'test/adapters/nats/journal-cluster.test.ts',
  'test/machines/platform/bulk.test.ts',
  'test/machines/jobs/all-states.test.ts',
  'test/machines/jobs/crash.test.ts',
  'test/machines/workers/process.test.ts',
  'test/machines/workers/loss.test.ts',
  'test/contract/task-queue.test.ts',
  'test/cli/process.test.ts',
  'test/machines/jobs/settings.test.ts',
  'test/adapters/nats/task-queue.test.ts',
  'test/cluster/cluster.test.ts',
  'test/machines/workers/operate.test.ts',
]

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONGEST.indexOf(relative(this.ctx.config.root, moduleId))
      return at < 0 ? LONGEST.length : at
    }
    return sorted.toSorted((a, b) => rank(a) - rank(b))
  }
}
