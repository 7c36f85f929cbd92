/**
 * Whether a mover that a volume names is still there. Decides: that one which cannot be found may still begin, for as
 * long as volumes wait for that (`BIRTH_MS`). Leaves to others: what is done about one that is gone.
 */
import type { Client } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { BIRTH_MS } from '../../plane/volumes/index.ts'
import { moveAddress } from './move-id.ts'

/** @param now unix ms @throws TroupeError when that cannot be known */
export async function isMoveOver(
  client: Client,
  { mover, at }: { mover: string; at: number },
  now: number,
): Promise<boolean> {
  const view = await viewOf(client, moveAddress(mover))
  return view === undefined ? now - at > BIRTH_MS : view.status !== 'active'
}
