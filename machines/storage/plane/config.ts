/**
 * The section `storage.plane`: disks, volumes, and what blobnodes are told. Decides: each limit, with its
 * reason. Leaves to others: the settings of rooms that stand beside it.
 */
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { CODE_MODES } from './codes/index.ts'

/** As large as the reference has them: a chunk that is moved is moved whole, so larger ones move for hours. */
const CHUNK_BYTES_MAX = 16 * 1024 ** 3
/** Blobs are cut every 4 MiB: a smaller chunk would not hold one shard of each mode. */
const CHUNK_BYTES_MIN = 8 * 1024 ** 2
/** A node that dies keeps its volumes from being locked for so long at most. */
const RETAIN_MS = 600_000
const HEARTBEAT_MS = 5_000
/** Six heartbeats: a blobnode that is restarted, or a cable that is moved, loses no volume its place. */
const HEARTBEAT_LOSS_MS = 30_000
/** Puts of one node and mode spread over so many volumes, so that no chunk has to take all of them. */
const ACTIVE_PER_MODE = 4
/** An answer of a live disk takes milliseconds, and a slow one seconds; past that it is tried again. */
const BLOBNODE_TIMEOUT_MS = 10_000
/** Readers have a mapping in their caches for less than this; then nobody asks for the old chunk any more. */
const RETIRED_KEPT_MS = 3_600_000
/** Whoever made a chunk to fill it asks for it again before; 16 GiB at 2 MB/s are filled in less. */
const READY_KEPT_MS = 4 * 3_600_000
/** Chunks that no volume knows are few, and cost room only. */
const STRAY_LOOK_MS = 600_000
/** Time for a person who wonders to stop it. */
const STRAY_KEPT_MS = 3_600_000
/** A mapping that changed is found by whoever asks the old place: this bounds memory and idle age only. */
const VIEWS_MAX = 10_000
const VIEW_MS = 60_000
/** Which disks there are, and which of them are heard, is read again so often. */
const DISKS_MS = 2_000
/** Ids that a node takes at a time, and loses with its end: of 2^53 they are none. */
const BIDS_PER_RANGE = 10_000
/** A record of a disk holds a line per unit, and is bound to half a MiB. */
const UNITS_PER_DISK_MAX = 4_096

const modeName = z.enum(CODE_MODES.map(({ name }) => name) as [string, ...string[]])

export const planeConfig = z
  .strictObject({
    /** Of puts that name none. */
    defaultMode: modeName.default('EC6P3'),
    /** Of a chunk, and so of its volume: times the data shards of the mode. */
    chunkBytesMax: z.int().min(CHUNK_BYTES_MIN).default(CHUNK_BYTES_MAX),
    /** A file with the token that blobnodes ask for; without it they have to listen on loopback. */
    tokenFile: z
      .string()
      .refine((path) => isAbsolute(path), 'an absolute path')
      .exactOptional(),
    blobnodeTimeoutMs: z.int().min(100).default(BLOBNODE_TIMEOUT_MS),
    /** How long a volume is a node's to write to, unless the node asks again. */
    retainMs: z.int().min(1_000).default(RETAIN_MS),
    activePerMode: z.int().min(1).max(64).default(ACTIVE_PER_MODE),
    /** What blobnodes are asked for. */
    heartbeatMs: z.int().min(100).default(HEARTBEAT_MS),
    /** Silence after which nothing new is placed on a disk. */
    heartbeatLossMs: z.int().min(200).default(HEARTBEAT_LOSS_MS),
    /** A chunk that was replaced is released after this, unless who replaced it says so sooner. */
    retiredKeptMs: z.int().min(0).default(RETIRED_KEPT_MS),
    /** A chunk that is ready to take the place of a unit is released after this, unless asked for again. */
    readyKeptMs: z.int().min(1_000).default(READY_KEPT_MS),
    /** So often a node compares the chunks of the disks that it hears with what volumes know. */
    strayLookMs: z.int().min(100).default(STRAY_LOOK_MS),
    /** A chunk that no volume knows is released when it was seen for so long. */
    strayKeptMs: z.int().min(0).default(STRAY_KEPT_MS),
    viewsMax: z.int().min(1).default(VIEWS_MAX),
    viewMs: z.int().min(0).default(VIEW_MS),
    disksMs: z.int().min(0).default(DISKS_MS),
    bidsPerRange: z.int().min(1).max(1_000_000).default(BIDS_PER_RANGE),
    unitsPerDiskMax: z.int().min(1).max(UNITS_PER_DISK_MAX).default(UNITS_PER_DISK_MAX),
  })
  .refine(({ heartbeatMs, heartbeatLossMs }) => heartbeatLossMs >= 2 * heartbeatMs, {
    path: ['heartbeatLossMs'],
    error: 'at least twice heartbeatMs: one heartbeat that is late is no loss',
  })
export type PlaneConfig = z.output<typeof planeConfig>
