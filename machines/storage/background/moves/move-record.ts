/**
 * What is known of the move of one chunk, and what it can be told. Decides: the fields, their bounds, and the
 * numbers of its states (reference sheet, section 5.1). Leaves to others: what its events change
 * (`move-rules.ts`), its states (`migrate-task.ts`).
 */
import { z } from 'zod'
import { vuidSchema } from '../../plane/codes/index.ts'
import { DISK_ID_MAX } from '../../plane/disks/index.ts'
import { MOVE_TYPES } from './move-id.ts'

const TEXT_CHARS_MAX = 512
/** So that it is told apart from the time, by which those of one priority are in order. */
const PRIORITY_MAX = 100

const count = z.int().min(0)
const at = z.int().min(0)
const text = z.string().min(1).max(TEXT_CHARS_MAX)
const why = z.string().transform((given) => given.slice(0, TEXT_CHARS_MAX))
const token = z.union([z.string().min(1), z.int()])
const priority = z.int().min(-PRIORITY_MAX).max(PRIORITY_MAX)

/** `host` is the address of its blobnode. */
export const unitSchema = z.object({ vuid: z.bigint(), host: z.string(), diskId: count })
export type Unit = z.output<typeof unitSchema>

/** As a worker says it of itself; nothing here follows from it. */
export const statSchema = z.object({
  ...{ doneSize: count, doneCount: count, totalSize: count, totalCount: count, progress: count },
})
export type MoveStat = z.output<typeof statSchema>

const leaseSchema = z.object({ worker: z.string(), token, until: z.number() })
export type MoveLease = z.output<typeof leaseSchema>

const inputFields = {
  taskId: z.string().min(1).max(128),
  type: z.enum(MOVE_TYPES),
  sourceVuid: vuidSchema,
  sourceDiskId: z.int().min(1).max(DISK_ID_MAX),
  sourceIdc: text,
  forbiddenDirectDownload: z.boolean().default(false),
  /** Higher first. */
  priority: priority.default(0),
  /** An actor that is told how it ended. */
  owner: text.nullable().default(null),
  /** Why it was asked for, for people; null where its type says it. */
  reason: text.nullable().default(null),
}

export const moveInput = z.object({
  ...inputFields,
  /** Unix ms. */
  at,
})
export type MoveInput = z.output<typeof moveInput>

/** 1 inited, 2 prepared, 3 work completed, 4 finished, 5 finished in advance, or cancelled. */
const stateNumber = z.literal([1, 2, 3, 4, 5])
export type MoveState = z.output<typeof stateNumber>

export const moveRecord = z.object({
  ...inputFields,
  sourceVuid: z.bigint(),
  state: stateNumber,
  /** All units of the volume, by index; null until it is prepared. */
  sources: z.array(unitSchema).nullable(),
  /** Of zeros until it is prepared. */
  destination: unitSchema,
  codeMode: count,
  ctime: at,
  mtime: at,
  finishAdvanceReason: z.string(),
  workerRedoCnt: count,
  stat: statSchema,
  lease: leaseSchema.nullable(),
  /** Why nothing is done, and until when, in unix ms; null: something is done, or it is at its end. */
  wait: z.object({ why: z.string(), until: z.number().nullable() }).nullable(),
  lastError: z.string().nullable(),
  /** What failed in a row since it last came forward. */
  tries: count,
  /** How often units that are up did not answer a comparison, since it last came forward. */
  unheardTries: count,
  /** By workers in a row, since a copy had more than `doneMost`. */
  giveUps: count,
  /** The most shards that a copy of it has had. */
  doneMost: count,
  /** Disks that a chunk of it was made on, and was no good there. */
  excludes: z.array(z.int()),
  /** It waits for a turn in its lane. */
  isWaiting: z.boolean(),
  /** How many it has had; in each of them it claims its volume anew. */
  turns: count,
  isCancelled: z.boolean(),
  /** There was no queue to offer it to. */
  isUnheard: z.boolean(),
  /** How long the wait is that it is in. */
  waitMs: z.number(),
})
export type MoveRecord = z.output<typeof moveRecord>

/** By a worker, with the token of its lease. */
const said = z.object({ token, at })

export const moveEvents = {
  /** By its lane: it is its turn. */
  PREPARE: z.object({}),
  /** By the queue of its idc, from here on. */
  LEASED: z.object({ worker: z.string().max(TEXT_CHARS_MAX), token, until: z.number() }),
  LEASE_LOST: z.object({ token, why }),
  REPORTED: said.extend({ stat: statSchema, shards: count, bytes: count }),
  COMPLETED: said,
  CANCELLED: said.extend({ reason: why, until: z.number() }),
  RECLAIMED: said.extend({ reason: why }),
  /** By operators, from here on. */
  CANCEL: z.object({}),
  PRIORITY: z.object({ priority }),
  RETRY: z.object({}),
  /** By its volume, which asks whether there is somebody: who hears it has nothing to do. */
  ANNOUNCED: z.object({}),
}
type Payload<TType extends keyof typeof moveEvents> = z.output<(typeof moveEvents)[TType]>
type Fields<TType extends keyof typeof moveEvents> =
  Payload<TType> extends Record<string, never> ? unknown : Payload<TType>
export type MoveEvent =
  | { [TType in keyof typeof moveEvents]: { type: TType } & Fields<TType> }[keyof typeof moveEvents]
  | { type: 'troupe.deadLetter'; to: string; event: { type: string } }

export const NO_UNIT: Unit = { vuid: 0n, host: '', diskId: 0 }
const NO_STAT: MoveStat = { doneSize: 0, doneCount: 0, totalSize: 0, totalCount: 0, progress: 0 }

/** Each field by its name: V8 makes of a row of spreads an object that is fifty times as slow to copy. */
export function newMove(facts: MoveInput): MoveRecord {
  return {
    taskId: facts.taskId,
    type: facts.type,
    sourceVuid: facts.sourceVuid,
    sourceDiskId: facts.sourceDiskId,
    sourceIdc: facts.sourceIdc,
    // What is read of a disk that is broken would be as broken.
    forbiddenDirectDownload: facts.forbiddenDirectDownload || facts.type === 'disk_repair',
    priority: facts.priority,
    owner: facts.owner,
    reason: facts.reason,
    state: 1,
    sources: null,
    destination: NO_UNIT,
    codeMode: 0,
    ctime: facts.at,
    mtime: facts.at,
    finishAdvanceReason: '',
    workerRedoCnt: 0,
    stat: NO_STAT,
    lease: null,
    wait: null,
    lastError: null,
    tries: 0,
    unheardTries: 0,
    giveUps: 0,
    doneMost: 0,
    excludes: [],
    isWaiting: true,
    turns: 0,
    isCancelled: false,
    isUnheard: false,
    waitMs: 0,
  }
}
