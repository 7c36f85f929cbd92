/**
 * The task `inspect-list`: which volumes come next. Decides: that a pass goes by their numbers and finds its
 * place again, also where the list has forgotten it. Leaves to others: when it is asked (`volume-inspect.ts`).
 */
import { z } from 'zod'
import {
  type ActorRow,
  type Client,
  nodeOf,
  type Page,
  type TaskAttempt,
  TroupeError,
  task,
} from '../../../../src/index.ts'
import { NodePorts } from '../../plane/node-ports.ts'
import type { Listed } from './inspect-record.ts'
import type { InspectConfig } from './settings.ts'

const listInput = z.object({ cursor: z.string().nullable(), nextVid: z.int().min(1) })
type ListInput = z.output<typeof listInput>

/** Its units are being made: there is nothing to inspect yet. */
const CREATING = 'creating'
/** The actor tries for ever, and says why. */
const RETRY = { attemptsMax: 3, initialMs: 500, backoffMaxMs: 2_000 }

const settings = new NodePorts<InspectConfig>()

export const openInspect = settings.open.bind(settings)

export const listTask = task<ListInput, Listed>({
  name: 'inspect-list',
  queue: 'storage.inspect-list',
  runsOn: 'node',
  input: listInput,
  retry: RETRY,
  run: list,
})

async function list(attempt: TaskAttempt<ListInput>): Promise<Listed> {
  const { client, clock } = nodeOf(attempt)
  const { batchCount, passEveryMs, triesMax, retryMs } = settings.of(attempt)
  const { cursor, nextVid } = attempt.input
  const page = await pageFrom(client, cursor, batchCount)
  const vids = page.rows
    .filter(({ index }) => index['status'] !== CREATING)
    .map(({ index }) => Number(index['vid']))
    // Behind a list that was begun anew.
    .filter((vid) => vid >= nextVid)
  return {
    ...{ vids, cursor: page.cursor ?? null, at: clock.now() },
    settings: { batchCount, passEveryMs, triesMax, retryMs },
  }
}

async function pageFrom(
  client: Client,
  cursor: string | null,
  limit: number,
): Promise<Page<ActorRow>> {
  const query = { filter: { machine: 'volume' }, sort: { by: 'vid' }, limit }
  if (cursor === null) return client.list(query)
  try {
    return await client.list({ ...query, cursor })
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.retry) throw thrown
    return client.list(query)
  }
}
