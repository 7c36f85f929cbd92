/** Whether a mover that a volume names is still there. Decides: when one that cannot be found counts as gone. */
import type { Client } from '../../../../src/index.ts'
import { viewOf } from '../../plane/actor-views.ts'
import { moveAddress } from './move-id.ts'

/** Who adds a move tells its volume first: its actor is there a moment later. */
const BIRTH_MS = 30_000

/** @param now unix ms @throws TroupeError when that cannot be known */
export async function isMoveOver(
  client: Client,
  { mover, at }: { mover: string; at: number },
  now: number,
): Promise<boolean> {
  const view = await viewOf(client, moveAddress(mover))
  return view === undefined ? now - at > BIRTH_MS : view.status !== 'active'
}
