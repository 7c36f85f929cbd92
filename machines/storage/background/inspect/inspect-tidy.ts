/**
 * The task `inspect-tidy`: what inspections found of volumes that are not there any more, which an operator has
 * deleted, goes. Decides: of which; that one which cannot be cleared keeps none of the others. Both lists are read
 * side by side in the order of their numbers, so that a store of any size is compared in little memory.
 */
import { z } from 'zod'
import { type Client, nodeOf, type TaskAttempt, TroupeError, task } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { volumeAddress } from '../../plane/volumes/index.ts'
import { inspectionAddress } from './volume-inspection.ts'

/** The next pass has another. */
const RETRY = { attemptsMax: 3, initialMs: 500, backoffMaxMs: 5_000 }
const PAGE_COUNT = 1_000

export interface Tidied {
  /** Their results went. */
  gone: number
}

const input = z.object({})

export const tidyTask = task<z.output<typeof input>, Tidied>({
  name: 'inspect-tidy',
  queue: 'storage.inspect-tidy',
  runsOn: 'node',
  input,
  retry: RETRY,
  run: tidy,
})

async function tidy(attempt: TaskAttempt<z.output<typeof input>>): Promise<Tidied> {
  const { client } = nodeOf(attempt)
  const volumes = vidsOf(client, 'volume')
  let volume = await volumes.next()
  let gone = 0
  let failed: TroupeError | undefined
  for await (const vid of vidsOf(client, 'volume-inspection')) {
    attempt.signal.throwIfAborted()
    while (!volume.done && volume.value < vid) volume = await volumes.next()
    const isListed = !volume.done && volume.value === vid
    try {
      // A list may be a moment old.
      if (isListed || (await viewOf(client, volumeAddress(vid)))) continue
      await forget(client, vid)
      gone += 1
    } catch (thrown) {
      if (!(thrown instanceof TroupeError)) throw thrown
      failed ??= thrown
    }
  }
  if (failed) throw failed
  return { gone }
}

async function* vidsOf(client: Client, machine: string): AsyncGenerator<number, void, void> {
  const query = { filter: { machine }, sort: { by: 'vid' }, limit: PAGE_COUNT }
  for await (const { index } of client.rows(query)) yield Number(index['vid'])
}

/** What the last inspection of a volume found: there is no such volume. */
export async function forget(client: Client, vid: number): Promise<void> {
  try {
    await client.send(inspectionAddress(vid), { type: 'GONE' })
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || !NOBODY.has(thrown.code)) throw thrown
  }
}

const NOBODY: ReadonlySet<string> = new Set(['unknown-actor', 'finished'])
