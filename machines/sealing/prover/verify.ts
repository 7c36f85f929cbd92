/**
 * Verifiers, for whoever accepts proofs. Decides: how claims are read; bytes are hex, base64 or lists of
 * numbers. A claim that cannot be read is invalid, with the reason, like a false one. It takes a
 * millisecond or a few, on the thread of the caller.
 */
import type { z } from 'zod'
import { checkReplica, checkSeal, checkSnap, Input, type Verdict } from './checks.ts'
import { nodesOf } from './graph.ts'
import { issueText, sealClaim, snapClaim, windowClaim } from './tasks.ts'

export type SealClaim = z.input<typeof sealClaim>
export type SnapClaim = z.input<typeof snapClaim>
export type WindowPostClaim = z.input<typeof windowClaim>

/** Whether the proof of c2 shows that this sector is sealed as CommR over CommD. */
export function verify(claim: SealClaim): Verdict {
  const parsed = sealClaim.safeParse(claim)
  if (!parsed.success) return unreadable(parsed.error)
  const { registered_proof: kind, prover_id, sector_id, ticket, seed, proof } = parsed.data
  const facts = {
    sizeBytes: kind.sizeBytes,
    proverId: prover_id,
    sectorId: sector_id,
    ticket,
    seed,
    commR: parsed.data.comm_r,
    commD: parsed.data.comm_d,
  }
  return withBytes(proof, (bytes) => checkSeal(facts, bytes))
}

/** Whether the proof of snap_prove shows that the old replica became the new one. */
export function verifySnap(claim: SnapClaim): Verdict {
  const parsed = snapClaim.safeParse(claim)
  if (!parsed.success) return unreadable(parsed.error)
  const { registered_proof: kind, proof } = parsed.data
  const facts = {
    sizeBytes: kind.sizeBytes,
    commROld: parsed.data.comm_r_old,
    commRNew: parsed.data.comm_r_new,
    commDNew: parsed.data.comm_d_new,
  }
  return withBytes(proof, (bytes) => checkSnap(facts, bytes))
}

/** @param claim its replicas are those that were not reported as faults, in the order of the task */
export function verifyWindowPost(claim: WindowPostClaim): Verdict {
  const parsed = windowClaim.safeParse(claim)
  if (!parsed.success) return unreadable(parsed.error)
  const { proof_type: kind, miner_id: minerId, seed, replicas, proofs } = parsed.data
  const { sizeBytes } = kind
  const [proof = '', ...others] = proofs
  if (others.length > 0) return { valid: false, reason: 'there is more than one proof' }
  return withBytes(proof, (bytes) => {
    const input = new Input(bytes, nodesOf(sizeBytes))
    for (const { sector_id: sectorId, comm_r: commR } of replicas) {
      const verdict = checkReplica({ sizeBytes, seed, minerId, sectorId, commR }, input)
      if (!verdict.valid) return { valid: false, reason: `sector ${sectorId}: ${verdict.reason}` }
    }
    if (input.isUsedUp()) return { valid: true }
    return { valid: false, reason: 'the proof is of another length' }
  })
}

/** One text per proof: base64 that means the same bytes in another spelling is another proof. */
function withBytes(proof: string, check: (bytes: Buffer) => Verdict): Verdict {
  const bytes = Buffer.from(proof, 'base64')
  if (bytes.toString('base64') === proof) return check(bytes)
  return { valid: false, reason: 'proof: it is not written in plain base64' }
}

function unreadable(error: z.ZodError): Verdict {
  return { valid: false, reason: issueText(error) }
}
