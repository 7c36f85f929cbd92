/**
 * The records of the slot journal and their bytes. Decides: the form of
 * `Claim`, `Batch` and `Release`, and the chain: every record carries the hash of the one before, and
 * the copy of the stream that it was sent to.
 */
import type { StoreWrite } from '../ports/index.ts'
import { TroupeError, unpack } from '../protocol/index.ts'
import { decodeRun, encodeRun, type RowRun } from './row-run.ts'

/** The token of an owner: the slot of its claim and a random id. */
export interface Epoch {
  slot: number
  claimId: string
}

/** What a record says of itself, without the rows of a batch. */
export type RecordHead =
  | {
      kind: 'claim'
      prev: string
      serverId: string
      node: string
      claimId: string
      viewVersion: number
      /**
       * The shard goes on without records that only nodes may have that were given up: a generation of
       * its channels begins (lineage.ts).
       */
      generation?: number
    }
  | { kind: 'batch'; prev: string; serverId: string; epoch: Epoch; batchId: string }
  | { kind: 'release'; prev: string; serverId: string; epoch: Epoch; to: string }

type BatchHead = Extract<RecordHead, { kind: 'batch' }>
export type ClaimHead = Extract<RecordHead, { kind: 'claim' }>

export type SlotRecord =
  | Exclude<RecordHead, BatchHead>
  | (BatchHead & { writes: readonly StoreWrite[] })

/** What stands before slot 1. */
export const GENESIS_HASH = '0'.repeat(16)

const FORM = 2

export function encodeRecord(record: SlotRecord): Uint8Array {
  switch (record.kind) {
    case 'claim': {
      const { prev, serverId, node, claimId, viewVersion, generation } = record
      const fields = [FORM, 'c', prev, serverId, node, claimId, viewVersion]
      return encodeRun(generation === undefined ? fields : [...fields, generation], [])
    }
    case 'batch': {
      const { prev, serverId, epoch, batchId, writes } = record
      return encodeRun([FORM, 'b', prev, serverId, epoch.slot, epoch.claimId, batchId], writes)
    }
    case 'release': {
      const { prev, serverId, epoch, to } = record
      return encodeRun([FORM, 'r', prev, serverId, epoch.slot, epoch.claimId, to], [])
    }
  }
}

/**
 * Its rows are read where they lie; claims and releases have none.
 * @throws TroupeError `malformed` for bytes that this version cannot read: to guess would lose data
 */
export function readRecord(bytes: Uint8Array): { head: RecordHead; rows: RowRun } {
  const { head, rows } = runOf(bytes)
  return { head: headOf(head), rows }
}

/** What stands in no run may be a record of the first form: that is another failure than damage. */
function runOf(bytes: Uint8Array): { head: unknown[]; rows: RowRun } {
  try {
    return decodeRun(bytes)
  } catch (thrown) {
    const form = formOfPack(bytes)
    throw form === undefined ? thrown : ofAnotherForm(form)
  }
}

/** Records of the first form are one pack, a list that begins with the form. */
function formOfPack(bytes: Uint8Array): number | undefined {
  try {
    const [form] = unpack(bytes) as unknown[]
    return typeof form === 'number' && form < FORM ? form : undefined
  } catch {
    return undefined
  }
}

function headOf(fields: readonly unknown[]): RecordHead {
  const [form, kind, prev, ...f] = fields as [unknown, unknown, string, ...unknown[]]
  if (form !== FORM) throw ofAnotherForm(form)
  switch (kind) {
    case 'c':
      return {
        kind: 'claim',
        prev,
        serverId: f[0] as string,
        node: f[1] as string,
        claimId: f[2] as string,
        viewVersion: f[3] as number,
        ...(f[4] !== undefined && { generation: f[4] as number }),
      }
    case 'b':
      return {
        kind: 'batch',
        prev,
        serverId: f[0] as string,
        epoch: { slot: f[1] as number, claimId: f[2] as string },
        batchId: f[3] as string,
      }
    case 'r':
      return {
        kind: 'release',
        prev,
        serverId: f[0] as string,
        epoch: { slot: f[1] as number, claimId: f[2] as string },
        to: f[3] as string,
      }
    default:
      throw unreadable(`kind ${String(kind)}`)
  }
}

/** The slot of the claim under which a record was written. */
export function epochSlotOf(slot: number, record: RecordHead): number {
  return record.kind === 'claim' ? slot : record.epoch.slot
}

/** Whether the owner of this epoch wrote it. */
export function isOfEpoch(slot: number, record: RecordHead, epoch: Epoch): boolean {
  const claimId = record.kind === 'claim' ? record.claimId : record.epoch.claimId
  return epochSlotOf(slot, record) === epoch.slot && claimId === epoch.claimId
}

function ofAnotherForm(form: unknown): TroupeError {
  return unreadable(`form ${String(form)}; this version reads ${FORM}`)
}

function unreadable(what: string): TroupeError {
  return new TroupeError('malformed', `a record of a slot: ${what}`)
}
