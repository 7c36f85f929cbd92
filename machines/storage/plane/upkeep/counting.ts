/**
 * What messages of upkeep tell the counters of their kind (`counters.ts`): how each try ended, told in the
 * turn that ends it, so that it is counted exactly once.
 */
import { z } from 'zod'
import type { EventObject } from '../../../../src/index.ts'
import { countersAddress, type UpkeepKind } from './kinds.ts'

const ERROR_CHARS_MAX = 1_000

export const toldEvents = {
  /** @param at unix ms */
  SUCCEEDED: z.object({ at: z.number() }),
  /** @param at unix ms; null where that was not told */
  FAILED: z.object({ at: z.number().nullable(), why: z.string() }),
  /** Found its kind switched off. */
  HELD: z.object({}),
}

export interface Told {
  to: string
  event: EventObject
}

export function successTold(kind: UpkeepKind, at: number): Told {
  return { to: countersAddress(kind), event: { type: 'SUCCEEDED', at } }
}

export function failureTold(kind: UpkeepKind, at: number | null, why: string): Told {
  const event = { type: 'FAILED', at, why: why.slice(-ERROR_CHARS_MAX) }
  return { to: countersAddress(kind), event }
}

export function heldTold(kind: UpkeepKind): Told {
  return { to: countersAddress(kind), event: { type: 'HELD' } }
}
