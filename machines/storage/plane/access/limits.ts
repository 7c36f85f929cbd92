/**
 * The limits of reading and writing blobs, with their defaults and reasons. Decides: names and defaults.
 * Leaves to others: enforcing them.
 */
import { z } from 'zod'

const KIB = 1024
const MIB = 1024 * KIB

/** Largest part of an object that is coded by itself; ids say which one they were written with. */
export const BLOB_BYTES_MAX = 4 * MIB
/** Runs of blobs in one volume that an id can name: with more it does not fit the first line of a request. */
export const SLICES_MAX = 512

export const accessLimits = z.strictObject({
  /**
   * Blobs of one put that are under way: one that is read, and two that are written, keep client and
   * disks busy at once.
   */
  blobsPerPutMax: z.int().min(1).max(64).default(3),
  /** Blobs of one get that are read ahead of the client, the one that it takes among them. */
  blobsPerGetMax: z.int().min(1).max(64).default(3),
  /** Blobs of one delete that are under way: small requests, so more of them. */
  blobsPerDeleteMax: z.int().min(1).max(64).default(8),
  /** Deletes under way on this node; past it `busy`. */
  deletesMax: z.int().min(1).default(64),
  /** Memory for blobs that are read or written on this node, parity counted; past it `busy`. */
  bytesUnderWayMax: z
    .int()
    .min(16 * MIB)
    .default(256 * MIB),
  /** A shard that is not there by then is looked for elsewhere as well: many times what a good disk takes. */
  readPatienceMs: z.int().min(1).default(300),
  /** Past the quorum, how long units that are slow are waited for before repair has to bring their shards. */
  stragglerMs: z.int().min(0).default(1_000),
  /** How long a put to one volume may take before another one is tried. */
  writeMs: z.int().min(1).default(10_000),
  /** Volumes that are tried for a blob before the put is refused. */
  volumesPerBlobMax: z.int().min(1).default(3),
})

export type AccessLimits = z.infer<typeof accessLimits>

export const DEFAULT_ACCESS_LIMITS: Readonly<AccessLimits> = Object.freeze(accessLimits.parse({}))
