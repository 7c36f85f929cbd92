/**
 * What is known of a volume, and what it can be told. Decides: the fields and their bounds. Leaves to
 * others: what its events change (`volume-rules.ts`), what is done for it (`volume-tasks.ts`).
 */
import { z } from 'zod'
import { VID_MAX, vuidSchema } from '../codes/index.ts'
import { DISK_ID_MAX } from '../disks/index.ts'

export const VOLUME_STANDINGS = ['creating', 'idle', 'active', 'lock', 'unlocking'] as const
export type VolumeStanding = (typeof VOLUME_STANDINGS)[number]

const at = z.int().min(0)
const bytes = z.int().min(0)
const diskId = z.int().min(1).max(DISK_ID_MAX)
/** Of whoever writes to it: the name of a node. */
const token = z.string().min(1).max(256)
/** Who moves a unit: the id of its task, which is part of the address that it is called at. */
const mover = z.string().regex(/^[\w-]{1,128}$/)
/** It has the volume to itself turn after turn: what it asked for in one that is over, and comes late, is refused. */
const turn = z.int().min(0)
const claim = z.object({ mover, turn })
export type Claim = z.output<typeof claim>
/** A volume has at most 36 units, and a disk is excluded for a reason. */
const EXCLUDES_MAX = 1_000

export const volumeInput = z.object({
  vid: z.int().min(1).max(VID_MAX),
  /** The number of its code mode. */
  mode: z.int().min(1),
  chunkBytesMax: z.int().min(1),
  /** A chunk that was replaced is released after this, unless somebody says so sooner. */
  retiredKeptMs: z.int().min(0),
  /** A chunk that was made to take the place of a unit is released after this, unless somebody asks for it again. */
  readyKeptMs: z.int().min(1),
  at,
})
export type VolumeInput = z.output<typeof volumeInput>

/** Of each chunk, as far as the writer knows. */
const used = z.object({ chunkBytesUsed: bytes })

export const volumeEvents = {
  ACQUIRE: used.extend({ token, retainMs: z.int().min(1), at }),
  RETAIN: used.extend({ token, retainMs: z.int().min(1), at }),
  RETURN: used.extend({ token, at }),
  LOCK: z.object({
    /** Granted only under that claim, with which the lock goes: a call that comes late locks nothing for ever. */
    claim: claim.exactOptional(),
  }),
  UNLOCK: z.object({
    /** Although chunks could not be set writable, or a unit is moved. */
    force: z.boolean().exactOptional(),
  }),
  ALLOC_UNIT: z.object({
    vuid: vuidSchema,
    excludes: z.array(diskId).max(EXCLUDES_MAX).default([]),
    /** Of a unit that is to be moved, granted only to its mover, and under that claim. */
    claim: claim.exactOptional(),
  }),
  UPDATE_UNIT: z.object({
    newVuid: vuidSchema,
    oldVuid: vuidSchema,
    newDiskId: diskId,
    at,
    /** As above: a call that comes late swaps in nothing that is out of date. */
    claim: claim.exactOptional(),
    /** The old one and its disk can be used: whoever holds an older mapping may still write there. */
    isOldNormal: z.boolean().default(false),
  }),
  RELEASE_UNIT: z.object({ vuid: vuidSchema, diskId }),
  /** A unit is to be moved; of each there is one mover, which may have to wait for its turn. */
  ADD_MOVE: z.object({
    ...{ vuid: vuidSchema, mover, at },
    /** It has gone without a word. */
    instead: mover.exactOptional(),
  }),
  /** It is this mover's turn with the volume: one unit moves at a time. Granted to who was announced, and has not ended. */
  CLAIM_MOVE: z.object({ vuid: vuidSchema, mover, turn, at }),
  /** The turn is over; the unit is still to be moved by it. */
  YIELD_MOVE: claim,
  /** It is announced no more, and what was made for it is nobody's. */
  END_MOVE: z.object({ mover }),
}
type Payload<TType extends keyof typeof volumeEvents> = z.output<(typeof volumeEvents)[TType]>
/** An event that says nothing more has its type alone. */
type Fields<TType extends keyof typeof volumeEvents> =
  Payload<TType> extends Record<string, never> ? unknown : Payload<TType>
export type VolumeEventOf<TType extends keyof typeof volumeEvents> = {
  type: TType
} & Fields<TType>

/** A chunk of the volume: which unit, the how-manieth of that, and where. */
export interface Chunk {
  index: number
  epoch: number
  diskId: number
}

export type ChunkMode = 'readonly' | 'readwrite'

/** What becomes of chunks, as tasks and timers say it: the machine itself raises them. */
export type VolumeResult =
  | { type: 'CHOSEN'; picks: readonly { index: number; diskId: number }[] }
  /** There is no place now. */
  | { type: 'UNPLACEABLE'; why: string }
  | { type: 'MADE'; made: readonly Chunk[]; failed: readonly ChunkFailure[] }
  | { type: 'RELEASED'; released: readonly Chunk[]; failed: readonly ChunkFailure[] }
  | { type: 'CHUNKS_SET'; to: ChunkMode; failed: readonly ChunkFailure[] }
  | { type: 'RETAIN_OVER' }
  | { type: 'RETIRED_OVER'; index: number; epoch: number }
  | { type: 'READY_OVER'; index: number; epoch: number }
  /** By now whoever was announced should have begun. */
  | { type: 'BIRTH_OVER'; mover: string }
  /** What stood in the way was no refusal: a task was given up. */
  | { type: 'STUCK'; room: 'fitting' | 'releasing' | 'setting'; why: string }

export type VolumeEvent =
  | { [TType in keyof typeof volumeEvents]: VolumeEventOf<TType> }[keyof typeof volumeEvents]
  | VolumeResult
  | { type: 'troupe.deadLetter'; to: string; event: { type: string }; error: { code: string } }

export interface ChunkFailure extends Chunk {
  why: string
}

/** Chunks that could not be released yet; past it no further ones are made that may fail, too. */
export const RETIRED_MAX = 200

/**
 * A unit that is to get a chunk. `wanted`: a disk is looked for; `chosen`: written down, and being made;
 * `ready`: the chunk is there, and waits to take its place.
 */
export interface Fitting {
  step: 'wanted' | 'chosen' | 'ready'
  /** 0 until it is chosen. */
  epoch: number
  diskId: number
  excludes: number[]
  /** Whom it is made for; null: it is the volume's first one, or for whoever moves its unit next. */
  mover: string | null
}

/** A chunk that is nobody's any more. It stays in the record until it is gone from its disk. */
export interface Retired extends Chunk {
  /** False: readers may still look for it. */
  isDue: boolean
}

/** Who moves a unit, or is going to. */
export interface PlannedMove {
  mover: string
  /** When it was told; unix ms. */
  at: number
  /** Of its turns with the volume, the one that it has or is to have next. */
  turn: number
}

/** Work that is tried again: how often it failed in a row, and why. */
export interface Trouble {
  tries: number
  why: string | null
}

export interface VolumeRecord {
  vid: number
  mode: number
  chunkBytesMax: number
  retiredKeptMs: number
  readyKeptMs: number
  standing: VolumeStanding
  /** By index; empty until all of them are there. */
  units: Chunk[]
  /** By index: the highest that was ever given. None is given twice. */
  epochs: number[]
  /** By index, as text. */
  fittings: Record<string, Fitting>
  retired: Retired[]
  holder: { token: string; until: number } | null
  /** Somebody wants to lock it: its holder is to give it back. */
  isWantedBack: boolean
  /** It was given back for a mover, and is nobody's to write to until then; unix ms. */
  keptUntil: number
  chunkBytesUsed: number
  /** By the index of the unit, as text. */
  moves: Record<string, PlannedMove>
  /** One of those: whose turn it is. */
  mover: string | null
  /** The lock is that mover's, and goes with its turn. */
  isLockedForMover: boolean
  /** Whether all chunks that can be are read-only under a lock, and writable after it. */
  isSet: boolean
  troubles: Record<'fitting' | 'releasing' | 'setting', Trouble>
  /** The last time that no disk was found for a unit; told to whoever asked for it. */
  unplaceable: { count: number; why: string }
  createdAt: number
}

export type VolumeAnswer =
  | {
      ok: true
      standing: VolumeStanding
      until?: number
      isWantedBack?: boolean
      unplaced?: number
    }
  | {
      refused: number
      message: string
      /** Who stands in the way of a mover. */
      by?: PlannedMove
    }

const NO_TROUBLE: Trouble = { tries: 0, why: null }

export function newVolume({ at: createdAt, ...facts }: VolumeInput, units: number): VolumeRecord {
  const indexes = Array.from({ length: units }, (_, index) => index)
  const wanted: Fitting = { step: 'wanted', epoch: 0, diskId: 0, excludes: [], mover: null }
  return {
    ...facts,
    ...{ standing: 'creating', units: [], epochs: indexes.map(() => 0) },
    fittings: Object.fromEntries(indexes.map((index) => [String(index), wanted])),
    ...{ retired: [], holder: null, isWantedBack: false, chunkBytesUsed: 0, isSet: true },
    ...{ keptUntil: 0, moves: {}, mover: null, isLockedForMover: false },
    troubles: { fitting: NO_TROUBLE, releasing: NO_TROUBLE, setting: NO_TROUBLE },
    unplaceable: { count: 0, why: '' },
    createdAt,
  }
}

/** Units whose fitting has come so far, in their order. */
export function fittingsAt(
  { fittings }: Pick<VolumeRecord, 'fittings'>,
  step: Fitting['step'],
): (Chunk & { excludes: number[] })[] {
  return Object.entries(fittings)
    .filter(([, one]) => one.step === step)
    .map(([index, { epoch, diskId: on, excludes }]) => ({
      ...{ index: Number(index), epoch, diskId: on, excludes },
    }))
    .sort((a, b) => a.index - b.index)
}

/** Whether the volume is that mover's now, and by this claim. */
export function isClaimedBy(
  { mover, moves }: Pick<VolumeRecord, 'mover' | 'moves'>,
  claim: Claim,
): boolean {
  if (mover !== claim.mover) return false
  return Object.values(moves).some((one) => one.mover === mover && one.turn === claim.turn)
}

/** A mover wanted it back and may lock it first: writers that took it at once would never let it in. */
export function isKept(
  { standing, keptUntil, moves }: Pick<VolumeRecord, 'standing' | 'keptUntil' | 'moves'>,
  now: number,
): boolean {
  return standing === 'idle' && now < keptUntil && Object.keys(moves).length > 0
}

export function isSameChunk(a: Chunk, b: Chunk): boolean {
  return a.index === b.index && a.epoch === b.epoch && a.diskId === b.diskId
}
