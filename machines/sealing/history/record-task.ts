/**
 * The task `sealing-record`: writes the history of a sector when its work has ended. Decides: that it is
 * written once, however often it runs. It runs on nodes, also where no worker is there any more.
 */
import {
  type Client,
  nodeOf,
  type TaskAttempt,
  TaskError,
  TroupeError,
  task,
} from '../../../src/index.ts'
import { type Chapter, chapter, clipped } from './chapter.ts'
import { sealingHistory } from './sealing-history.ts'

/** About half an hour; whoever asked says what is then. */
const RETRY = { attemptsMax: 40, initialMs: 500, backoffMaxMs: 60_000 }

export const sealingRecord = task<Chapter, void>({
  name: 'sealing-record',
  queue: 'sealing.record',
  runsOn: 'node',
  input: chapter,
  retry: RETRY,
  run: record,
})

async function record(attempt: TaskAttempt<Chapter>): Promise<void> {
  try {
    await write(nodeOf(attempt).client, clipped(attempt.input))
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.retry || GOES_BY.has(thrown.code)) throw thrown
    const { code, message } = thrown
    throw new TaskError('permanent', message, { code, cause: thrown })
  }
}

async function write(client: Client, written: Chapter): Promise<void> {
  const history = client.actor(sealingHistory, written.sector)
  try {
    await history.start(written)
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.code !== 'already-exists') throw thrown
    // Begun by this task before it was cut off, or with an earlier chapter.
    await history.send({ type: 'ADD', chapter: written })
  }
}

/** What was there was too old in the moment between: the next attempt begins it anew. */
const GOES_BY: ReadonlySet<string> = new Set(['unknown-actor', 'finished'])
