/**
 * An actor that need not be there. Decides: that `unknown-actor` alone says that there is none; whatever else keeps
 * it from being read says nothing, and is thrown.
 */
import { type ActorView, type Client, TroupeError } from '../../../src/index.ts'

/** Undefined where there is none. @throws TroupeError as `Client.get`, for any other reason */
export async function viewOf(
  client: Pick<Client, 'get'>,
  address: string,
): Promise<ActorView | undefined> {
  try {
    return await client.get(address)
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return undefined
    throw thrown
  }
}
