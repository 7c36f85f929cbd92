/**
 * The pool of a worker: all of its limits and locks as one actor. Decides: what it is called, and that it
 * has at each start what the configuration says. Leaves to others: who is served next (the pool), what there
 * is to ask for (`processors`), and what of it is out of order (`lane-choices.ts`).
 */
import {
  type Client,
  formatAddress,
  type Log,
  PLACEMENT_MARK,
  TroupeError,
} from '../../../src/index.ts'
import { type GateNames, gateNames } from '../processors/index.ts'
import type { Placing } from '../thread/index.ts'
import type { WorkerConfig } from './config.ts'

/** The names limit, not the pool as a whole. */
const SLOTS = 1_000_000

type Limited = Pick<GateNames, 'limits' | 'gaps' | 'choices'>

export function poolOf(worker: string): string {
  return formatAddress('pool', `${worker}${PLACEMENT_MARK}sealing`)
}

/** @throws TroupeError `invalid-config` */
export function namesOf({ processors }: WorkerConfig): GateNames {
  const { children, concurrent, staggeredMs, extLocks } = processors
  return gateNames(children, { concurrent, staggered: staggeredMs, extLocks })
}

/** Where threads ask for places, and for which stages. */
export function placingOf(worker: string, { choices }: GateNames): Placing {
  return { pool: poolOf(worker), gates: Object.keys(choices).sort() }
}

/** Makes the pool, or brings the one that is there to what is configured. */
export async function bringPool(
  client: Client,
  worker: string,
  { limits, gaps, choices }: Limited,
  log: Log,
): Promise<void> {
  const address = poolOf(worker)
  try {
    await client.start(address, { slots: SLOTS, limits, gaps, choices })
    return
  } catch (thrown) {
    if (!(thrown instanceof TroupeError) || thrown.code !== 'already-exists') throw thrown
  }
  await client.send(address, { type: 'RESIZE', limits, gaps, choices })
  await evictGone(client, address, log)
}

/** Who was deleted releases nothing. */
async function evictGone(client: Client, address: string, log: Log): Promise<void> {
  const { context } = await client.get(address)
  const { holders, waiters } = context as { holders: Named[]; waiters: Named[] }
  for (const { holder } of [...holders, ...waiters]) {
    // A name that is no address is a person's or a program's.
    if (!holder.includes('/') || (await isThere(client, holder))) continue
    await client.send(address, { type: 'EVICT', holder })
    log.warn({ holder, pool: address }, 'what a thread held that is no more was taken back')
  }
}

interface Named {
  holder: string
}

async function isThere(client: Client, holder: string): Promise<boolean> {
  try {
    const { status } = await client.get(holder)
    return status === 'active'
  } catch (thrown) {
    if (thrown instanceof TroupeError && thrown.code === 'unknown-actor') return false
    throw thrown
  }
}
