/** All verbs `troupe sealing`, of all rooms. */
import type { App, AppVerb } from '../../src/verbs.ts'
import { chainVerbs } from './chain/verbs.ts'
import { daemonVerbs } from './daemon/verbs.ts'
import { historyVerb } from './fleet/history-verb.ts'
import { threadsVerbs } from './fleet/threads-verbs.ts'
import { workerVerb } from './fleet/worker-verbs.ts'
import { managerVerbs } from './manager/verbs.ts'
import { processorVerb } from './prover/verb.ts'

/** @param apps what a worker that stands alone hosts; asked when it starts */
export function sealingVerbs(apps: () => Promise<readonly App[]>): readonly AppVerb[] {
  return [
    ...daemonVerbs(apps),
    processorVerb,
    workerVerb,
    ...threadsVerbs,
    historyVerb,
    ...managerVerbs,
    ...chainVerbs,
  ]
}
