/**
 * What the manager has checked before it accepts a sector's data and proofs. Decides: the port, and how the
 * reference prover answers it. Leaves to others: the proofs themselves (`prover/`).
 */
import { SECTOR_BYTES_MAX, verify, verifySnap } from '../prover/index.ts'
import { proverId } from '../steps/index.ts'
import {
  type AllocatedSector,
  type Deal,
  type Seed,
  sealProofOf,
  type Ticket,
} from '../venus/index.ts'
import { commitmentOfPiece, commitmentOfSector } from './commitments.ts'

/** `reason` is for people, when it is not valid. */
export interface ContentVerdict {
  valid: boolean
  reason?: string
}

/** Bytes are base64 throughout. */
export interface ContentChecks {
  verifyProof(claim: {
    sector: AllocatedSector
    ticket: Ticket
    seed: Seed
    commR: string
    commD: string
    proof: string
  }): Promise<ContentVerdict>
  /** Of an upgrade: the new replica holds the new data, and comes from the old one. */
  verifySnap(claim: {
    sector: AllocatedSector
    commROld: string
    commRNew: string
    commDNew: string
    proof: string
  }): Promise<ContentVerdict>
  /** Hex of what a sector with these pieces commits to; null: that cannot be told. */
  commitmentOfSector(pieces: readonly Deal[], sectorBytes: number): string | null
  /** Hex. */
  commitmentOfPiece(payload: Uint8Array, sizeBytes: number): string
}

/** For workers with other processors than ours: what they bring is taken as it comes. */
export const trusting: ContentChecks = {
  verifyProof: async () => ({ valid: true }),
  verifySnap: async () => ({ valid: true }),
  commitmentOfSector: () => null,
  commitmentOfPiece,
}

/**
 * Sectors that the reference prover cannot make are not its to judge: to find their proofs wrong would cost
 * their workers the sectors.
 */
export function withinReach(checks: ContentChecks): ContentChecks {
  return {
    verifyProof: async (claim) =>
      isJudged(claim.sector) ? checks.verifyProof(claim) : { valid: true },
    verifySnap: async (claim) =>
      isJudged(claim.sector) ? checks.verifySnap(claim) : { valid: true },
    commitmentOfSector: (pieces, sectorBytes) =>
      sectorBytes > SECTOR_BYTES_MAX ? null : checks.commitmentOfSector(pieces, sectorBytes),
    commitmentOfPiece: (payload, sizeBytes) => checks.commitmentOfPiece(payload, sizeBytes),
  }
}

/** As the reference prover works. */
export const proverChecks: ContentChecks = withinReach({
  verifyProof: async ({ sector, ticket, seed, commR, commD, proof }) =>
    verify({
      registered_proof: sealProofOf(sector.ProofType).name,
      prover_id: proverId(sector.ID),
      sector_id: sector.ID.Number,
      ticket: ticket.Ticket,
      seed: seed.Seed,
      comm_r: commR,
      comm_d: commD,
      proof,
    }),
  verifySnap: async ({ sector, commROld, commRNew, commDNew, proof }) =>
    verifySnap({
      registered_proof: sealProofOf(sector.ProofType).name,
      comm_r_old: commROld,
      comm_r_new: commRNew,
      comm_d_new: commDNew,
      proof,
    }),
  commitmentOfSector,
  commitmentOfPiece,
})

function isJudged({ ProofType }: AllocatedSector): boolean {
  return sealProofOf(ProofType).sizeBytes <= SECTOR_BYTES_MAX
}
