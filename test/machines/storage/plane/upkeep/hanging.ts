/** Ports that hang in one call, once it has taken effect: where they do, a test kills the node. */
import type { UpkeepPorts } from '../../../../../machines/storage/plane/upkeep/index.ts'

export interface Calls {
  count: number
  hasHung: boolean
}

/** @param which the call of that name, or of that number from 1 on, the first time that it comes; 0 is none */
export function hangAt(
  ports: UpkeepPorts,
  which: number | string,
): { hanging: UpkeepPorts; calls: Calls } {
  const calls: Calls = { count: 0, hasHung: false }
  let isArmed = true
  const counted =
    <TArgs extends unknown[], TResult>(
      name: string,
      plain: (...given: TArgs) => Promise<TResult>,
    ) =>
    async (...given: TArgs): Promise<TResult> => {
      const result = await plain(...given)
      calls.count += 1
      if (!isArmed || (name !== which && calls.count !== which)) return result
      isArmed = false
      calls.hasHung = true
      return new Promise<TResult>(() => {})
    }
  const { shards, volumes } = ports
  const hanging: UpkeepPorts = {
    ...ports,
    volumes: { view: counted('view', volumes.view), vuids: counted('vuids', volumes.vuids) },
    shards: {
      getShard: counted('getShard', shards.getShard),
      statShard: counted('statShard', shards.statShard),
      putShard: counted('putShard', shards.putShard),
      markDelete: counted('markDelete', shards.markDelete),
      deleteShard: counted('deleteShard', shards.deleteShard),
    },
  }
  return { hanging, calls }
}
