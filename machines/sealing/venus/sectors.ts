/**
 * Sectors by their names and kinds, as every program of the Venus family writes them. Decides: the text
 * of a sector id, and which number and name stands for which size. Pure.
 */
import { z } from 'zod'
import { TroupeError } from '../../../src/index.ts'

export const sectorId = z.object({
  Miner: z.int().min(0),
  Number: z.int().min(0),
})
export type SectorId = z.infer<typeof sectorId>

/** `s-t010000-2`, the name of a sector everywhere people see one. */
export function sectorName({ Miner, Number: number }: SectorId): string {
  return `s-t0${Miner}-${number}`
}

/** @throws TroupeError `malformed` */
export function parseSectorName(text: string): SectorId {
  const parts = /^s-t0(\d{1,15})-(\d{1,15})$/.exec(text)
  if (parts) return { Miner: Number(parts[1]), Number: Number(parts[2]) }
  throw new TroupeError(
    'malformed',
    `"${text.slice(0, 64)}" is no sector: write s-t0<miner>-<number>`,
  )
}

export interface SealProof {
  /** `ProofType` of the Venus interface. */
  number: number
  /** `registered_proof` and `seal_proof_type` of processors. */
  name: string
  sizeBytes: number
}

/** Sizes that Filecoin has, with its numbers; the others below 8 MiB have numbers of our own, from 1,000. */
const FILECOIN_NUMBERS: Readonly<Record<number, number>> = {
  [2 * 1024]: 5,
  [8 * 1024 ** 2]: 6,
  [512 * 1024 ** 2]: 7,
  [32 * 1024 ** 3]: 8,
  [64 * 1024 ** 3]: 9,
}
const OWN_FROM = 1_000
const LOG_MIN = 11
const LOG_MAX = 36

/** Every kind of sector that has a name here: 2 KiB to 64 GiB, by powers of two. */
export const SEAL_PROOFS: readonly SealProof[] = Array.from(
  { length: LOG_MAX - LOG_MIN + 1 },
  (_, index) => {
    const log = LOG_MIN + index
    const sizeBytes = 2 ** log
    const number = FILECOIN_NUMBERS[sizeBytes] ?? OWN_FROM + log
    return { number, name: `StackedDrg${sizeText(sizeBytes)}V1_1`, sizeBytes }
  },
)

/** @throws TroupeError `malformed` */
export function sealProofOf(proof: number | string): SealProof {
  const known = SEAL_PROOFS.find(({ number, name }) => number === proof || name === proof)
  if (known) return known
  throw new TroupeError('malformed', `there is no seal proof ${String(proof).slice(0, 64)}`)
}

/** Numbers of window proofs are those of seals; sizes that Filecoin has come in a second version too. */
const SECOND_VERSION = 5
const FILECOIN_MIN = 5
const FILECOIN_MAX = 9

/** The number of the seal proof whose sectors a window proof is of. */
export function sealNumberOf(windowProof: number): number {
  const first = windowProof - SECOND_VERSION
  return first >= FILECOIN_MIN && first <= FILECOIN_MAX ? first : windowProof
}

/** Of a size as configurations write it: `8KiB`, `32GiB`. @throws TroupeError `malformed` */
export function sealProofOfSize(size: string): SealProof {
  const known = SEAL_PROOFS.find(({ sizeBytes }) => sizeText(sizeBytes) === size)
  if (known) return known
  throw new TroupeError(
    'malformed',
    `"${size.slice(0, 64)}" is no sector size: write 2KiB to 64GiB`,
  )
}

export function sizeText(sizeBytes: number): string {
  for (const [unit, bytes] of Object.entries({ GiB: 2 ** 30, MiB: 2 ** 20, KiB: 2 ** 10 })) {
    if (sizeBytes >= bytes) return `${sizeBytes / bytes}${unit}`
  }
  return `${sizeBytes}B`
}
