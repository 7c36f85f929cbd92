/**
 * What is known of a disk, and what it can be told. Decides: the fields, their bounds, and the numbers that
 * stand for its states (reference sheet, section 8). Leaves to others: what its events change (`disk-rules.ts`).
 */
import { z } from 'zod'
import { vuidSchema } from '../codes/index.ts'

export const DISK_ID_MAX = 4_294_967_295

/** Of a disk's states, those that are of the outside world's number 1 first. */
export const STANDINGS = [
  'writable',
  'readonly',
  'dropping',
  'broken',
  'repairing',
  'repaired',
  'dropped',
] as const
export type DiskStanding = (typeof STANDINGS)[number]

const STATUSES: Readonly<Record<DiskStanding, number>> = {
  writable: 1,
  readonly: 1,
  dropping: 1,
  broken: 2,
  repairing: 3,
  repaired: 4,
  dropped: 5,
}

/** 1 normal, 2 broken, 3 repairing, 4 repaired, 5 dropped. */
export function statusOf(standing: DiskStanding): number {
  return STATUSES[standing]
}

/** Whether it takes no new chunks, although it is normal. */
export function isReadonly(standing: DiskStanding): boolean {
  return standing === 'readonly' || standing === 'dropping'
}

/** As `--host`, `--rack` and `--idc` say it: they stand in tables and in indexes. */
const place = z.string().min(1).max(128)
const bytes = z.int().min(0)

export const diskPlace = z.object({
  /** Of its directory: a disk comes back as itself, or under another id. */
  uuid: z.uuid(),
  /** Where its blobnode listens. */
  address: z.url({ protocol: /^https?$/ }).max(256),
  host: place,
  rack: place,
  idc: place,
  path: z.string().min(1).max(256),
})

export const diskUsage = z.object({
  sizeBytes: bytes,
  freeBytes: bytes,
  usedBytes: bytes,
  /** That lie on it, as its blobnode counts. */
  chunks: z.int().min(0),
  chunksMax: z.int().min(0),
})
export type DiskUsage = z.output<typeof diskUsage>

/** Who says that the disk is there, and how long that is believed without another word. */
const hearing = z.object({
  at: z.int().min(0),
  /** The node that hears its blobnode. */
  via: z.string().min(1).max(256),
  quietMs: z.int().min(1),
})

const registration = diskPlace
  .extend(diskUsage.shape)
  .extend(hearing.shape)
  /** As the configuration of the node says that registers it: the last one counts. */
  .extend({ unitsMax: z.int().min(1) })

export const diskInput = registration.extend({ diskId: z.int().min(1).max(DISK_ID_MAX) })
export type DiskInput = z.output<typeof diskInput>

const WHY_CHARS_MAX = 1_000
const why = z.string().max(WHY_CHARS_MAX)

export const diskEvents = {
  REGISTER: registration,
  HEARTBEAT: diskUsage.extend(hearing.shape).extend({
    uuid: diskPlace.shape.uuid,
    /** Why it is broken, as its blobnode says; null: it is well. */
    broken: why.nullable(),
  }),
  LOST: z.object({ via: z.string() }),
  SET: z.object({ status: z.int() }),
  READONLY: z.object({ readonly: z.boolean() }),
  DROP: z.object({}),
  DROPPED: z.object({}),
  RESERVE: z.object({ vuid: vuidSchema, bytesMax: z.int().min(1), at: z.int().min(0) }),
  FREE: z.object({ vuid: vuidSchema }),
}
type Payload<TType extends keyof typeof diskEvents> = z.output<(typeof diskEvents)[TType]>
/** An event that says nothing more has its type alone. */
type Fields<TType extends keyof typeof diskEvents> =
  Payload<TType> extends Record<string, never> ? unknown : Payload<TType>
export type DiskEventOf<TType extends keyof typeof diskEvents> = { type: TType } & Fields<TType>
export type DiskEvent =
  | { [TType in keyof typeof diskEvents]: DiskEventOf<TType> }[keyof typeof diskEvents]
  | { type: 'SILENT' }

/** A line of the ledger: what of the disk is promised to a unit. */
export interface LedgerLine {
  bytesMax: number
  /** Unix ms. */
  at: number
}

export interface DiskRecord extends z.output<typeof diskPlace>, DiskUsage {
  diskId: number
  unitsMax: number
  standing: DiskStanding
  /** False: nothing new is placed on it. */
  isHeard: boolean
  /** When the record was last told so; unix ms. */
  heardAt: number
  via: string
  quietMs: number
  /** Why it is broken. */
  why: string | null
  /** By the digits of the vuid. */
  units: Record<string, LedgerLine>
  createdAt: number
}

/** What it may hold now, by the configuration and by its blobnode. */
export function unitsAllowed({
  unitsMax,
  chunksMax,
}: Pick<DiskRecord, 'unitsMax' | 'chunksMax'>): number {
  return Math.min(unitsMax, chunksMax)
}

/** Of how many units those that it holds are a part: never fewer than they are, although it may hold fewer by now. */
export function unitPlaces(record: Pick<DiskRecord, 'unitsMax' | 'chunksMax' | 'units'>): number {
  return Math.max(unitsAllowed(record), Object.keys(record.units).length)
}

export interface DiskRefusal {
  refused: number
  message: string
}
export type DiskAnswer = { status: number; readonly: boolean } | DiskRefusal

export function newDisk({ at, ...facts }: DiskInput): DiskRecord {
  return {
    ...facts,
    ...{ standing: 'writable', isHeard: true, heardAt: at, why: null, units: {}, createdAt: at },
  }
}
