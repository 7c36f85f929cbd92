/**
 * What sectors put on the chain: precommits, proofs, upgrades. Decides: what is checked before, and that
 * trouble with the chain is an error of the call and never a rejection, since a rejection costs the
 * worker its sector. Leaves to others: batching and messages (the chain), repeats (`sector-rules.ts`).
 */
import { isDeepStrictEqual } from 'node:util'
import type { Client } from '../../../src/index.ts'
import {
  CHAIN_STATES,
  type ParamsOf,
  type ResultOf,
  type SectorId,
  type Seed,
  SUBMIT_RESULTS,
  type SubmitResult,
  sealProofOf,
} from '../venus/index.ts'
import type { ChainPort, MessageKind } from './chain-port.ts'
import type { ManagerConfig } from './config.ts'
import type { ContentChecks } from './content-checks.ts'
import { digestOf, keepProof, type ProofDigest } from './proofs.ts'
import type { SectorEvent } from './sector-events.ts'
import type { SectorRecord } from './sector-record.ts'
import type { Sectors } from './sectors.ts'
import type { Storage } from './storage.ts'

type SubmitAnswer = ResultOf<'SubmitPreCommit'>
type PreCommit = ParamsOf<'SubmitPreCommit'>[1]
type SnapUpProof = ParamsOf<'SubmitSnapUpProof'>[1]

export interface SubmissionsDeps {
  client: Client
  config: ManagerConfig
  chain: ChainPort
  content: ContentChecks
  sectors: Sectors
  storage: Storage
}

export class Submissions {
  readonly #deps: SubmissionsDeps

  constructor(deps: SubmissionsDeps) {
    this.#deps = deps
  }

  async preCommit(
    { ID: id, ProofType }: ParamsOf<'SubmitPreCommit'>[0],
    info: PreCommit,
    reset: boolean,
  ): Promise<SubmitAnswer> {
    const { sectors } = this.#deps
    const record = await sectors.record(id)
    if (ProofType !== record.sector.ProofType) {
      return answer('Mismatched', `it was allocated with proof type ${record.sector.ProofType}`)
    }
    const { CommR: commR, CommD: commD, Ticket: ticket } = info
    const isKnown = isDeepStrictEqual(record.preCommit, { commR, commD, ticket })
    const flaw = isKnown ? null : await this.#flawOfPreCommit(record, info)
    if (flaw !== null) return answer('Mismatched', flaw)
    const event = { type: 'PRE_COMMIT', commR, commD, ticket, reset } as const
    return this.#submit('preCommit', id, event, { commR, commD, ticket }, reset)
  }

  async poll(kind: MessageKind, id: SectorId): Promise<ResultOf<'PollPreCommitState'>> {
    const { state, desc } = await this.#deps.chain.messageState(kind, id)
    // Nothing is on its way of a sector that nobody knows either.
    if (state === 'NotFound') await this.#deps.sectors.record(id)
    return { State: CHAIN_STATES.indexOf(state), Desc: desc }
  }

  async waitSeed(id: SectorId): Promise<ResultOf<'WaitSeed'>> {
    const { sectors, chain } = this.#deps
    const record = await sectors.record(id)
    const { ready, delayMs, seed } = await chain.seed(id)
    if (!ready || !seed) return { ShouldWait: true, Delay: secondsOf(delayMs), Seed: null }
    if (!isSameSeed(record.seed, seed)) await sectors.apply(id, { type: 'SEED', seed })
    return { ShouldWait: false, Delay: 0, Seed: seed }
  }

  async proof(id: SectorId, base64: string, reset: boolean): Promise<SubmitAnswer> {
    const { sectors, config } = this.#deps
    const record = await sectors.record(id)
    const proof = digestOf(base64)
    const flaw =
      record.proof?.sha256 === proof.sha256 ? null : await this.#flawOfProof(record, base64)
    if (flaw !== null) return flaw
    await keepProof(this.#deps.client, id, base64, config.policy.proofsKeptMs)
    const event = { type: 'PROOF', proof, reset } as const
    return this.#submit('prove', id, event, { sha256: proof.sha256 }, reset)
  }

  async snapUp(id: SectorId, info: SnapUpProof): Promise<SubmitAnswer> {
    const { sectors, storage, content, config } = this.#deps
    const record = await sectors.record(id)
    const { Proof, NewCommR: commR, NewCommD: commD, AccessInstance } = info
    const persisted = await storage.inspect(record.sector, AccessInstance, true)
    if ('missing' in persisted) return answer('FilesMissed', persisted.missing)
    const { upgrade } = record
    const isNew = upgrade !== null && upgrade.proof === null
    if (isNew) {
      const flaw = flawOfData(content, record, upgrade.deals, commD)
      if (flaw !== null) return answer('Mismatched', flaw)
      const commROld = record.preCommit?.commR ?? ''
      const claim = { sector: record.sector, commROld, commRNew: commR, commDNew: commD }
      const { valid, reason } = await content.verifySnap({ ...claim, proof: Proof })
      if (!valid) return answer('Rejected', `the proof of the upgrade is invalid: ${reason ?? ''}`)
      await keepProof(this.#deps.client, id, Proof, config.policy.proofsKeptMs)
    }
    const { sha256 }: ProofDigest = digestOf(Proof)
    const event = { type: 'SNAP_PROOF', commR, commD, sha256, persisted } as const
    return this.#submit('snapUp', id, event, { commR, commD }, false)
  }

  /** Stored first: whoever dies between the two sends it again, and both take it as the same. */
  async #submit(
    kind: MessageKind,
    id: SectorId,
    event: SectorEvent,
    payload: unknown,
    reset: boolean,
  ): Promise<SubmitAnswer> {
    const { sectors, chain } = this.#deps
    const stored = await sectors.send(id, event)
    if ('refused' in stored) return answer('Mismatched', stored.message)
    if (!('result' in stored)) return answer('Unknown', '')
    if (stored.result !== 'Accepted') return answer(stored.result, stored.desc)
    // Of a repeated reset: the message that it asked for is on its way.
    const isAgain = reset && stored.desc === 'again' && (await this.#isUnderWay(kind, id))
    await chain.submit(kind, id, payload, { replace: reset })
    return isAgain ? answer('Duplicate', 'it is on its way already') : answer('Accepted', '')
  }

  async #isUnderWay(kind: MessageKind, id: SectorId): Promise<boolean> {
    const { state } = await this.#deps.chain.messageState(kind, id)
    return ['Pending', 'Packed', 'Landed'].includes(state)
  }

  async #flawOfPreCommit(record: SectorRecord, info: PreCommit): Promise<string | null> {
    const { chain, config, content } = this.#deps
    const flaw = flawOfData(content, record, record.deals, info.CommD)
    if (flaw !== null) return flaw
    const { ticketLookback, ticketAgeMax } = config.policy
    const { height } = await chain.head()
    const { Ticket, Epoch } = info.Ticket
    const age = height - Epoch
    const remedy = 'resume at TreeDBuilt for a new one'
    if (age > ticketLookback + ticketAgeMax) {
      return `its ticket is ${age} blocks old, more than ${ticketLookback + ticketAgeMax}: ${remedy}`
    }
    const isOfChain =
      age >= 0 && Ticket === (await chain.ticket(record.sector.ID.Miner, Epoch)).ticket
    return isOfChain ? null : `its ticket is not the chain's of height ${Epoch}: ${remedy}`
  }

  async #flawOfProof(record: SectorRecord, proof: string): Promise<SubmitAnswer | null> {
    const { chain, content } = this.#deps
    const { preCommit, seed, sector } = record
    if (!preCommit) return answer('Mismatched', 'no precommit of this sector is stored')
    if (!seed) return answer('Mismatched', 'it was given no seed: resume at PersistanceSubmitted')
    const now = await chain.seed(sector.ID)
    if (!now.ready || !isSameSeed(seed, now.seed ?? null)) {
      return answer('Mismatched', 'the chain has another seed now: resume at PersistanceSubmitted')
    }
    const { commR, commD, ticket } = preCommit
    const { valid, reason } = await content.verifyProof({
      sector,
      ticket,
      seed,
      commR,
      commD,
      proof,
    })
    return valid ? null : answer('Rejected', `the proof is invalid: ${reason ?? ''}`)
  }
}

/** Whether the data are those that the manager gave to the sector. */
function flawOfData(
  content: ContentChecks,
  { sector }: SectorRecord,
  deals: SectorRecord['deals'],
  commD: string,
): string | null {
  const { sizeBytes } = sealProofOf(sector.ProofType)
  const expected = content.commitmentOfSector(deals, sizeBytes)
  const given = Buffer.from(commD, 'base64').toString('hex')
  if (expected === null || expected === given) return null
  return `its data commitment is ${given}, but that of its pieces is ${expected}`
}

function answer(result: SubmitResult, desc: string): SubmitAnswer {
  return { Res: SUBMIT_RESULTS.indexOf(result), Desc: desc === '' ? null : desc }
}

function isSameSeed(a: Seed | null, b: Seed | null): boolean {
  return a !== null && b !== null && a.Seed === b.Seed && a.Epoch === b.Epoch
}

/** Whole, as callers of the Venus family read it; below a second only where blocks are that short. */
function secondsOf(ms: number): number {
  return ms < 1_000 ? ms / 1_000 : Math.ceil(ms / 1_000)
}
