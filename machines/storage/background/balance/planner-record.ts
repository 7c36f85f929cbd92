/**
 * What the planner knows, and what it is told. Decides: the fields and their bounds, and what people see. Leaves to
 * others: what is moved (`levels.ts`, `choice.ts`), what is done for it (`choose-task.ts`,
 * `move-tasks.ts`).
 */
import { z } from 'zod'
import { vuidSchema } from '../../plane/codes/index.ts'
import { switchTold } from '../../switches/index.ts'

const count = z.int().min(0)
const diskId = z.int().min(1)
const part = z.number()
const taskId = z.string().min(1).max(256)

/** A unit that is to move, and where it may go. */
export const chosenUnit = z.object({
  vuid: vuidSchema,
  sourceDiskId: diskId,
  idc: z.string(),
  bytes: count,
  /** Disks that are no place for it. */
  excludes: z.array(diskId),
  destinations: z.array(diskId),
})
export type ChosenUnit = z.output<typeof chosenUnit>

/** With the chunk that was made for it. */
export const placedUnit = chosenUnit.omit({ excludes: true, destinations: true }).extend({
  newVuid: vuidSchema,
  destinationDiskId: diskId,
})
export type PlacedUnit = z.output<typeof placedUnit>

export const liveMove = placedUnit.extend({
  taskId,
  /** It stands still, by its own word or an operator's. */
  isStill: z.boolean(),
})
export type LiveMove = z.output<typeof liveMove>

/** Made for a move that came to nothing. */
export const spareChunk = z.object({ vuid: vuidSchema, diskId })
export type SpareChunk = z.output<typeof spareChunk>

/** How even an idc is: parts of what its disks can have. */
export const idcLevel = z.object({
  idc: z.string(),
  disks: count,
  units: z.object({ level: part, least: part, most: part }),
  bytes: z.object({ level: part, least: part, most: part }),
  isEven: z.boolean(),
})
export type IdcLevel = z.output<typeof idcLevel>

/** Moves that stand still are kept in the record, up to here; then no further ones are started. */
export const STILL_MAX = 64
export const IDCS_MAX = 100
/** Old chunks go within seconds; of those that do not the newest are remembered. */
export const LEAVING_MAX = 200

export const plannerContext = z.object({
  /** Null: nobody has said yet, which is off. */
  isOn: z.boolean().nullable(),
  chosen: z.array(chosenUnit),
  placed: z.array(placedUnit),
  live: z.array(liveMove),
  /** Finished, and their old chunks were still in the ledgers of their disks when these were read last. */
  leaving: z.array(placedUnit),
  /** Ended before it was written down that they began. */
  early: z.array(z.object({ taskId, end: z.string() })),
  spare: z.array(spareChunk),
  levels: z.array(idcLevel),
  started: count,
  moved: count,
  endedOtherwise: count,
  wait: z.object({ why: z.string(), until: z.number().nullable() }).nullable(),
  collectMs: count,
})
export type PlannerRecord = z.output<typeof plannerContext>

export const plannerEvents = {
  SWITCH: switchTold,
  MOVE_ENDED: z.object({
    taskId,
    sourceVuid: vuidSchema,
    end: z.string(),
    why: z.string().nullable(),
  }),
  /** Now. */
  PLAN: z.object({}),
}
type Payload<TType extends keyof typeof plannerEvents> = z.output<(typeof plannerEvents)[TType]>
export type PlannerEvent =
  | ({ type: 'SWITCH' } & Payload<'SWITCH'>)
  | ({ type: 'MOVE_ENDED' } & Payload<'MOVE_ENDED'>)
  | { type: 'PLAN' }
  | { type: 'troupe.deadLetter'; to: string; event: { type: string } }

export const NEW_PLANNER: PlannerRecord = {
  ...{
    isOn: null,
    chosen: [],
    placed: [],
    live: [],
    leaving: [],
    early: [],
    spare: [],
    levels: [],
  },
  ...{ started: 0, moved: 0, endedOtherwise: 0, wait: null, collectMs: 0 },
}

export interface BalanceView {
  isOn: boolean
  levels: readonly IdcLevel[]
  moving: number
  still: number
  /** Since the store was installed. */
  moved: number
  endedOtherwise: number
  why: string | null
  /** Unix ms. */
  until: number | null
}

export function balanceView(record: PlannerRecord): BalanceView {
  const { isOn, levels, live, moved, endedOtherwise, wait } = record
  return {
    ...{ isOn: isOn === true, levels, moving: live.length, moved, endedOtherwise },
    still: live.filter(({ isStill }) => isStill).length,
    ...{ why: wait?.why ?? null, until: wait?.until ?? null },
  }
}
