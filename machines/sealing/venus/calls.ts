/**
 * The calls of `Venus.*` JSON-RPC that sealing threads make, in both roles: what goes in (an array) and
 * what comes out. Decides: names, order of parameters, shapes. Leaves to others: transport and meaning.
 * Source: reference of the sector manager (v0.2 to HEAD); "AllocateSanpUpSector" is spelled so there.
 * Unknown fields of a foreign manager are dropped; what may be missing there is optional or nullable.
 */
import { z } from 'zod'
import { sectorId } from './sectors.ts'

/** Go's `[]byte` in JSON. */
const bytes64 = z.base64()
/** Go writes an empty slice as null. */
const listOf = <T extends z.ZodType>(one: T) =>
  z
    .array(one)
    .nullish()
    .transform((list) => list ?? [])

export const allocatedSector = z.object({ ID: sectorId, ProofType: z.int() })
/** `Size` is the padded size in bytes; a piece without a deal (`ID` 0) is filler. */
export const deal = z.object({
  ID: z.int().min(0),
  Piece: z.object({
    Size: z.int().min(128),
    /** Bytes of the file; by default what fits into `Size` without padding (127/128). */
    PayloadSize: z.int().min(0).nullish(),
    /** Hex of the piece commitment, or a CID of a foreign manager. */
    Cid: z.string(),
  }),
})
export const ticket = z.object({ Ticket: bytes64, Epoch: z.int() })
export const seed = z.object({ Seed: bytes64, Epoch: z.int() })
export const submitAnswer = z.object({ Res: z.int(), Desc: z.string().nullish() })
export const pollAnswer = z.object({ State: z.int(), Desc: z.string().nullish() })
export const storeBasic = z.object({
  Name: z.string(),
  Path: z.string().nullish(),
  Meta: z.record(z.string(), z.string()).nullish(),
})
/** Where the files of a sector that was sealed before are, and what they are. */
export const sealedPublic = z.object({
  CommR: bytes64,
  CommD: bytes64.nullish(),
  SealedInfo: z.unknown().optional(),
})
export const sealedPrivate = z.object({ AccessInstance: z.string() })
const spec = z.object({ AllowedMiners: listOf(z.int()), AllowedProofTypes: listOf(z.int()) })

export const stateReport = z.object({
  Worker: z.object({ Instance: z.string(), Location: z.string() }),
  StateChange: z.object({ Prev: z.string(), Next: z.string(), Event: z.string() }),
  Failure: z.object({ Level: z.string(), Desc: z.string() }).nullish(),
})
export const reportAnswer = z.object({
  ID: sectorId.nullish(),
  Finalized: z.boolean().nullish(),
  AbortReason: z.string().nullish(),
})

export const snapUpAllocation = z.object({
  Sector: allocatedSector,
  Pieces: listOf(deal),
  Public: sealedPublic,
  Private: sealedPrivate,
})
export const rebuildAllocation = z.object({
  Sector: allocatedSector,
  Ticket: ticket,
  Pieces: listOf(deal),
  IsSnapUp: z.boolean(),
  UpgradePublic: sealedPublic.nullish(),
})
export const unsealAllocation = z.object({
  Sector: allocatedSector,
  PieceCid: z.string(),
  /** In padded bytes of the sector. */
  Offset: z.int().min(0),
  Size: z.int().min(0),
  Ticket: ticket,
  CommD: bytes64,
  PrivateInfo: sealedPrivate,
})

const preCommit = z.object({ CommR: bytes64, CommD: bytes64, Ticket: ticket })
const proof = z.object({ Proof: bytes64 })
const snapUpProof = z.object({
  Proof: bytes64,
  Pieces: listOf(z.string()),
  NewCommR: bytes64,
  NewCommD: bytes64,
  AccessInstance: z.string(),
})

export const wdpostJob = z.object({
  ID: z.string(),
  State: z.enum(['ReadyToRun', 'Running', 'Finished']),
  DeadlineIdx: z.int(),
  Partitions: listOf(z.int()),
  Input: z.object({
    Sectors: listOf(
      z.object({
        SectorID: sectorId,
        CommR: bytes64,
        Accesses: z.object({ CacheDir: z.string(), SealedFile: z.string() }),
      }),
    ),
    MinerID: z.int(),
    ProofType: z.int(),
    Seed: bytes64,
  }),
  Output: z.unknown().nullish(),
  TryNum: z.int(),
  ErrorReason: z.string(),
  WorkerName: z.string(),
  /** Unix seconds; 0: not yet. */
  StartedAt: z.int(),
  HeartbeatAt: z.int(),
  FinishedAt: z.int(),
  CreatedAt: z.int(),
  UpdatedAt: z.int(),
})
export type WdPoStJob = z.infer<typeof wdpostJob>

/** A host name of 253 and its port; each stands in a row of the list of workers. */
const PING_CHARS_MAX = 259

export const workerPing = z.object({
  Name: z.string(),
  Dest: z.string().max(PING_CHARS_MAX),
  Version: z.string().max(PING_CHARS_MAX).nullish(),
  /** Another one with every start of the worker: two that share a name can be told apart. */
  Instance: z.string().max(PING_CHARS_MAX).nullish(),
  Summary: z.object({
    Threads: z.int(),
    Empty: z.int(),
    Paused: z.int(),
    Errors: z.int(),
    Running: z.int().nullish(),
    Waiting: z.int().nullish(),
  }),
})

/** Every call by its name behind `Venus.`: `params` is the array on the wire, `result` what is answered. */
export const VENUS_CALLS = {
  AllocateSector: { params: z.tuple([spec]), result: allocatedSector.nullable() },
  AcquireDeals: {
    params: z.tuple([
      sectorId,
      z.object({ MaxDeals: z.int().nullish(), MinUsedSpace: z.int().nullish() }),
    ]),
    result: listOf(deal),
  },
  AssignTicket: { params: z.tuple([sectorId]), result: ticket },
  SubmitPreCommit: {
    params: z.tuple([allocatedSector, preCommit, z.boolean()]),
    result: submitAnswer,
  },
  PollPreCommitState: { params: z.tuple([sectorId]), result: pollAnswer },
  /** Bytes; names of stores that the worker can write to. */
  StoreReserveSpace: {
    params: z.tuple([sectorId, z.int().min(0), z.array(z.string())]),
    result: storeBasic.nullable(),
  },
  StoreBasicInfo: { params: z.tuple([z.string()]), result: storeBasic.nullable() },
  /** The store, and whether it is the upgrade of a sector. */
  SubmitPersistedEx: { params: z.tuple([sectorId, z.string(), z.boolean()]), result: z.boolean() },
  WaitSeed: {
    params: z.tuple([sectorId]),
    /** `Delay` in seconds. */
    result: z.object({ ShouldWait: z.boolean(), Delay: z.number().min(0), Seed: seed.nullish() }),
  },
  SubmitProof: { params: z.tuple([sectorId, proof, z.boolean()]), result: submitAnswer },
  PollProofState: { params: z.tuple([sectorId]), result: pollAnswer },
  ReportState: { params: z.tuple([sectorId, stateReport]), result: reportAnswer },
  ReportFinalized: { params: z.tuple([sectorId]), result: z.unknown() },
  ReportAborted: { params: z.tuple([sectorId, z.string()]), result: z.unknown() },
  AllocateSanpUpSector: {
    params: z.tuple([
      z.object({
        Sector: spec,
        Deals: z.object({ MaxDeals: z.int().nullish(), MinUsedSpace: z.int().nullish() }),
      }),
    ]),
    result: snapUpAllocation.nullable(),
  },
  SubmitSnapUpProof: { params: z.tuple([sectorId, snapUpProof]), result: submitAnswer },
  AllocateRebuildSector: { params: z.tuple([spec]), result: rebuildAllocation.nullable() },
  AllocateUnsealSector: { params: z.tuple([spec]), result: unsealAllocation.nullable() },
  /** Of the sector and the piece: urls that the unsealed bytes are wanted at. */
  AcquireUnsealDest: { params: z.tuple([sectorId, z.string()]), result: listOf(z.string()) },
  /** Of the sector and the piece, with the error text, empty for none. */
  AchieveUnsealSector: { params: z.tuple([sectorId, z.string(), z.string()]), result: z.unknown() },
  WdPoStAllocateJobs: {
    params: z.tuple([spec, z.int().min(1), z.string()]),
    result: listOf(wdpostJob),
  },
  WdPoStHeartbeatJobs: { params: z.tuple([z.array(z.string()), z.string()]), result: z.unknown() },
  /** Of the job: its output, or null and the error text. */
  WdPoStFinishJob: { params: z.tuple([z.string(), z.unknown(), z.string()]), result: z.unknown() },
  WorkerPing: { params: z.tuple([workerPing]), result: z.unknown() },
} as const

export type VenusCall = keyof typeof VENUS_CALLS
export type ParamsOf<TCall extends VenusCall> = z.output<(typeof VENUS_CALLS)[TCall]['params']>
export type ResultOf<TCall extends VenusCall> = z.output<(typeof VENUS_CALLS)[TCall]['result']>

/** `Res` of a submission. */
export const SUBMIT_RESULTS = [
  'Unknown',
  'Accepted',
  'Duplicate',
  'Mismatched',
  'Rejected',
  'FilesMissed',
] as const
export type SubmitResult = (typeof SUBMIT_RESULTS)[number]

/** `State` of a message on its way to the chain; numbered from 1, "Unknown" stands for 0. */
export const CHAIN_STATES = [
  'Unknown',
  'Pending',
  'Packed',
  'Landed',
  'NotFound',
  'Failed',
  'PermFailed',
  'ShouldAbort',
] as const
export type ChainState = (typeof CHAIN_STATES)[number]

/** Error code of JSON-RPC: the manager does not know the state of this sector. */
export const SECTOR_STATE_NOT_FOUND = 11_001

export type AllocatedSector = z.output<typeof allocatedSector>
export type Deal = z.output<typeof deal>
export type Ticket = z.output<typeof ticket>
export type Seed = z.output<typeof seed>
export type SealedPublic = z.output<typeof sealedPublic>
export type SealedPrivate = z.output<typeof sealedPrivate>
