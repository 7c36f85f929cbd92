/**
 * The form of calls on the wire, as managers and workers of the Venus family write it, to and from the one
 * that `calls.ts` describes. Decides: what is spelled otherwise there (commitments are lists of numbers,
 * CIDs objects, `Id` beside `ID`, sizes of unsealed pieces without padding). Leaves to others: checking
 * (`VENUS_CALLS`), so what does not look as expected passes as it is. Pure; both forms can be read.
 */
import type { VenusCall } from './calls.ts'
import { cidOfCommitment, commitmentOfCid } from './commitment-cid.ts'
import { SEAL_PROOFS, sizeText } from './sectors.ts'

type Fields = Record<string, unknown>

const COMMITMENT_BYTES = 32
/** Names in JSON by Go whose `json` tag differs from the rest of the interface. */
const RENAMED: Readonly<Record<string, string>> = { Id: 'ID', MinerId: 'MinerID' }
const COMMITMENTS = new Set(['CommR', 'CommD', 'NewCommR', 'NewCommD'])
const CIDS = new Set(['Cid', 'PieceCid'])
/** Padded bytes hold 127 bytes of data in 128. */
const PADDED = 128
const UNPADDED = 127

/** What an answer says, as `VENUS_CALLS[name].result` wants it. */
export function decodeResult(name: VenusCall, result: unknown): unknown {
  const read = decoded(result)
  if (name === 'AllocateUnsealSector' && isFields(read)) {
    return { ...read, ...resized(read, UNPADDED, PADDED) }
  }
  return name === 'WdPoStAllocateJobs' && Array.isArray(read) ? read.map(jobOf) : read
}

/** What a caller gave, as `VENUS_CALLS[name].params` wants it: what newer callers add is left out. */
export function decodeParams(
  name: VenusCall,
  params: readonly unknown[],
  count: number,
): unknown[] {
  const given = params.slice(0, count)
  // The output of a processor is its own business.
  if (name === 'WdPoStFinishJob') return given
  const read = given.map(decoded)
  const [first, second] = read
  if (name === 'SubmitSnapUpProof' && isFields(second)) {
    const { CommR, CommD, ...proof } = second
    return [first, { NewCommR: CommR, NewCommD: CommD, ...proof }]
  }
  if (name === 'WdPoStAllocateJobs' && isFields(first)) {
    const types = first['AllowedProofTypes']
    const numbers = Array.isArray(types) ? types.map(proofNumberOf) : types
    return [{ ...first, AllowedProofTypes: numbers }, ...read.slice(1)]
  }
  return read
}

export function encodeParams(name: VenusCall, params: readonly unknown[]): unknown[] {
  if (name === 'WdPoStFinishJob') return [...params]
  const written = params.map(encoded)
  const [first, second] = written
  switch (name) {
    case 'SubmitSnapUpProof': {
      if (!isFields(second)) return written
      const { NewCommR, NewCommD, Pieces, ...proof } = second
      const pieces = Array.isArray(Pieces) ? Pieces.map(linkOf) : Pieces
      return [first, { ...proof, CommR: NewCommR, CommD: NewCommD, Pieces: pieces }]
    }
    case 'AchieveUnsealSector':
    case 'AcquireUnsealDest':
      return [first, linkOf(second), ...written.slice(2)]
    case 'WdPoStAllocateJobs': {
      if (!isFields(first)) return written
      const types = first['AllowedProofTypes']
      const names = Array.isArray(types) ? types.map(proofNameOf) : types
      return [{ ...first, AllowedProofTypes: names }, ...written.slice(1)]
    }
    default:
      return written
  }
}

export function encodeResult(name: VenusCall, result: unknown): unknown {
  if (name === 'WdPoStAllocateJobs' && Array.isArray(result)) return result.map(wireJobOf)
  const written = encoded(result)
  if (name === 'AllocateUnsealSector' && isFields(written)) {
    return { ...written, ...resized(written, PADDED, UNPADDED) }
  }
  if (name === 'ReportState' && isFields(written)) return { ...written, Id: written['ID'] }
  return written
}

function decoded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(decoded)
  if (!isFields(value)) return value
  const link = value['/']
  if (typeof link === 'string') return commitmentOfCid(link)
  const fields = Object.entries(value).map(([key, field]): [string, unknown] => {
    const name = Object.hasOwn(RENAMED, key) ? (RENAMED[key] ?? key) : key
    if (CIDS.has(key) && typeof field === 'string') return [name, commitmentOfCid(field)]
    return [name, COMMITMENTS.has(key) || key === 'Seed' ? base64Of(field) : decoded(field)]
  })
  const { PayloadSize, ...rest } = Object.fromEntries(fields) as Fields
  if (PayloadSize === undefined) return rest
  const piece = rest['Piece']
  // In a deal it stands beside the piece on the wire.
  return isFields(piece) ? { ...rest, Piece: { PayloadSize, ...piece } } : { ...rest, PayloadSize }
}

function encoded(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(encoded)
  if (!isFields(value)) return value
  const fields = Object.entries(value).map(([key, field]): [string, unknown] => {
    if (COMMITMENTS.has(key)) return [key, bytesOf(field)]
    return [key, CIDS.has(key) ? linkOf(field) : encoded(field)]
  })
  const written = Object.fromEntries(fields) as Fields
  const piece = written['Piece']
  if (!isFields(piece)) return written
  const { PayloadSize, ...rest } = piece
  const size = Number(rest['Size'])
  const payload = PayloadSize ?? Math.floor((size / PADDED) * UNPADDED)
  return { ...written, PayloadSize: payload, Piece: { Offset: 0, ...rest } }
}

function base64Of(value: unknown): unknown {
  const isBytes =
    Array.isArray(value) &&
    value.length === COMMITMENT_BYTES &&
    value.every((byte) => Number.isInteger(byte) && byte >= 0 && byte <= 255)
  return isBytes ? Buffer.from(value as number[]).toString('base64') : decoded(value)
}

function bytesOf(value: unknown): unknown {
  if (typeof value !== 'string') return value
  const bytes = Buffer.from(value, 'base64')
  return bytes.length === COMMITMENT_BYTES ? [...bytes] : value
}

function linkOf(value: unknown): unknown {
  return typeof value === 'string' ? { '/': cidOfCommitment(value) } : value
}

/** `Offset` and `Size`, where they are whole then. */
function resized(fields: Fields, from: number, to: number): Fields {
  const entries = ['Offset', 'Size'].flatMap((key): [string, unknown][] => {
    const size = fields[key]
    return typeof size === 'number' && size % from === 0 ? [[key, (size / from) * to]] : []
  })
  return Object.fromEntries(entries)
}

/** Of a manager that sends no more of a job than its id and input. */
function jobOf(job: unknown): unknown {
  if (!isFields(job) || !isFields(job['Input'])) return job
  const input = job['Input']
  const miner = input['MinerID']
  const sectors = Array.isArray(input['Sectors']) ? input['Sectors'] : []
  const ofJob = {
    State: 'Running',
    DeadlineIdx: 0,
    Partitions: [],
    TryNum: 0,
    ErrorReason: '',
    WorkerName: '',
    ...{ StartedAt: 0, HeartbeatAt: 0, FinishedAt: 0, CreatedAt: 0, UpdatedAt: 0 },
  }
  const Sectors = sectors.map((sector: unknown) => {
    if (!isFields(sector)) return sector
    const { SectorId, ...rest } = sector
    return { SectorID: { Miner: miner, Number: SectorId }, ...rest }
  })
  return {
    ...ofJob,
    ...job,
    Input: { ...input, Sectors, ProofType: proofNumberOf(input['ProofType']) },
  }
}

/** All that a reader of either form looks for. */
function wireJobOf(job: unknown): unknown {
  if (!isFields(job) || !isFields(job['Input'])) return job
  const input = job['Input']
  const sectors = Array.isArray(input['Sectors']) ? input['Sectors'] : []
  const Sectors = sectors.map((sector: unknown) => {
    if (!isFields(sector)) return sector
    const id = sector['SectorID']
    const number = isFields(id) ? id['Number'] : undefined
    return { Upgrade: false, ...sector, SectorId: number, CommR: bytesOf(sector['CommR']) }
  })
  const wireInput = {
    ...input,
    Sectors,
    MinerId: input['MinerID'],
    ProofType: proofNameOf(input['ProofType']),
    Seed: bytesOf(input['Seed']),
  }
  return { ...job, Id: job['ID'], Input: wireInput }
}

/**
 * Proofs of spacetime go by names on the wire. Their numbers are those of seal proofs; sizes that Filecoin
 * has come in a second version too, five higher.
 */
function proofNumberOf(proof: unknown): unknown {
  const [, size = '', second] = /window(\d+[kmg]ib)v1(_[12]|p1)?$/i.exec(String(proof)) ?? []
  const known = SEAL_PROOFS.find(
    ({ sizeBytes }) => sizeText(sizeBytes).toLowerCase() === size.toLowerCase(),
  )
  if (!known) return proof
  return second !== undefined && hasSecond(known.number) ? known.number + SECOND : known.number
}

function proofNameOf(proof: unknown): unknown {
  if (typeof proof !== 'number') return proof
  const isSecond = hasSecond(proof - SECOND)
  const known = SEAL_PROOFS.find(({ number }) => number === (isSecond ? proof - SECOND : proof))
  return known ? `StackedDrgWindow${sizeText(known.sizeBytes)}V1${isSecond ? '_2' : ''}` : proof
}

const SECOND = 5

function hasSecond(number: number): boolean {
  return number >= 5 && number <= 9
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
