/** Whether a mover that a volume names is still there. Decides: when one that cannot be found counts as gone. */
import { type Client, TroupeError } from '../../../../src/index.ts'
import { moveAddress } from './move-id.ts'

/** Who adds a move tells its volume first: its actor is there a moment later. */
const BIRTH_MS = 30_000

/** @param now unix ms @throws TroupeError when that cannot be known */
export async function isMoveOver(
  client: Client,
  { mover, at }: { mover: string; at: number },
  now: number,
): Promise<boolean> {
  try {
    return (await client.get(moveAddress(mover))).status !== 'active'
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.code !== 'unknown-actor') throw thrown
    return now - at > BIRTH_MS
  }
}
