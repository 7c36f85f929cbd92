/**
 * Messages to the chain, through the manager: precommit and proof, the waits for them, and the seed.
 * Decides: what each answer means for the sector. Leaves to others: batching and sending (the manager).
 *
 * A sector with deals is never aborted for what the manager says of a message: a person looks at it.
 */
import { z } from 'zod'
import { type FailureLevel, stepError } from '../thread/index.ts'
import {
  CHAIN_STATES,
  type ChainState,
  type ParamsOf,
  type ResultOf,
  SUBMIT_RESULTS,
  type SubmitResult,
} from '../venus/index.ts'
import { clearCache } from './persisting.ts'
import type { StepRest, StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { base64OfHex } from './task-bytes.ts'
import { chainRest, resubmitRest } from './waits.ts'

export async function submitPreCommit(scene: Scene): Promise<StepResult> {
  const resubmit = scene.input.record.pc2Resubmit ?? false
  if (resubmit && isFirstLook(scene)) return resubmitRest(scene.input)
  const { commR, commD } = scene.need('pc2out')
  const info = {
    CommR: base64OfHex(commR),
    CommD: base64OfHex(commD),
    Ticket: scene.need('ticket'),
  }
  const sector = scene.need('sector')
  const answer = await submitted(scene, 'SubmitPreCommit', [sector, info, resubmit])
  accepted(scene, 'precommit', answer)
  return { event: 'SubmitPC', record: { pc2Resubmit: false } }
}

export async function checkPreCommit(scene: Scene): Promise<StepResult> {
  const landed = await polled(scene, 'PollPreCommitState')
  if (landed === 'again') return { event: 'ReSubmitPC', record: { pc2Resubmit: true } }
  return landed === 'yes' ? { event: 'CheckPC', record: {} } : landed
}

export async function waitSeed(scene: Scene): Promise<StepResult> {
  const answer = await scene.call('WaitSeed', [scene.sectorId])
  if (answer.Seed) return { event: 'AssignSeed', record: { seed: answer.Seed } }
  if (!answer.ShouldWait) {
    throw stepError('temporary', 'the manager has no seed, and does not say to wait for one')
  }
  const afterMs = Math.ceil(answer.Delay * 1_000)
  return { rest: 'seed', afterMs, why: `the seed is known in ${Math.ceil(answer.Delay)} s` }
}

export async function submitProof(scene: Scene): Promise<StepResult> {
  const resubmit = scene.input.record.c2Resubmit ?? false
  if (resubmit && isFirstLook(scene)) return resubmitRest(scene.input)
  const Proof = await proofOf(scene, 'c2out')
  const answer = await submitted(scene, 'SubmitProof', [scene.sectorId, { Proof }, resubmit])
  accepted(scene, 'proof', answer)
  return { event: 'SubmitProof', record: { c2Resubmit: false } }
}

export async function checkProof(scene: Scene): Promise<StepResult> {
  if (!scene.settings.ignoreProofCheck) {
    const landed = await polled(scene, 'PollProofState')
    if (landed === 'again') return { event: 'ReSubmitProof', record: { c2Resubmit: true } }
    if (landed !== 'yes') return landed
  }
  await clearCache(scene)
  return { event: 'Finish', record: {} }
}

export async function submitSnapUp(scene: Scene): Promise<StepResult> {
  const { commR, commD } = scene.need('snapEncodeOut')
  const upgrade = {
    Proof: await proofOf(scene, 'snapProveOut'),
    Pieces: (scene.input.record.deals ?? []).map(({ Piece }) => Piece.Cid),
    NewCommR: base64OfHex(commR),
    NewCommD: base64OfHex(commD),
    AccessInstance: scene.need('persistedIn'),
  }
  const answer = await scene.callOnce('SubmitSnapUpProof', [scene.sectorId, upgrade])
  if (resultOf(answer) === 'FilesMissed') return { event: 'RePersist', record: {} }
  accepted(scene, 'proof of the upgrade', answer)
  return { event: 'Finish', record: {} }
}

/** The manager knows a message that it has, but not that it has replaced one already. */
async function submitted<TCall extends 'SubmitPreCommit' | 'SubmitProof'>(
  scene: Scene,
  name: TCall,
  params: ParamsOf<TCall>,
): Promise<ResultOf<TCall>> {
  const [, , isReplacing] = params
  return isReplacing ? await scene.callOnce(name, params) : await scene.call(name, params)
}

/** Base64, as the step that made it kept it. */
async function proofOf(scene: Scene, key: 'c2out' | 'snapProveOut'): Promise<string> {
  return z.base64().parse(await scene.take(key))
}

/** Before a failed message is sent anew there is one rest; a failure on the way has been one. */
function isFirstLook({ input }: Scene): boolean {
  return input.rests === 0 && input.retries === 0
}

function resultOf({ Res }: ResultOf<'SubmitProof'>): SubmitResult {
  return SUBMIT_RESULTS[Res] ?? 'Unknown'
}

/** @throws stepError for all but Accepted and Duplicate */
function accepted(scene: Scene, what: string, answer: ResultOf<'SubmitProof'>): void {
  const result = resultOf(answer)
  if (result === 'Accepted' || result === 'Duplicate') return
  const levels: Record<typeof result, FailureLevel> = {
    Unknown: 'temporary',
    Mismatched: 'permanent',
    Rejected: gaveUp(scene),
    FilesMissed: 'permanent',
  }
  const why = answer.Desc ? `: ${answer.Desc}` : ''
  throw stepError(levels[result], `the manager answers ${result} to the ${what}${why}`)
}

/** `again`: the message is to be replaced. */
async function polled(
  scene: Scene,
  name: 'PollPreCommitState' | 'PollProofState',
): Promise<'yes' | 'again' | StepRest> {
  const answer = await scene.call(name, [scene.sectorId])
  const state: ChainState = CHAIN_STATES[answer.State] ?? 'Unknown'
  const desc = answer.Desc ?? ''
  if (state === 'Landed') return 'yes'
  if (state === 'Failed') return 'again'
  if (state === 'NotFound' || state === 'PermFailed' || state === 'ShouldAbort') {
    const level = state === 'ShouldAbort' ? gaveUp(scene) : 'permanent'
    throw stepError(level, `the message is ${state} on the chain${desc ? `: ${desc}` : ''}`)
  }
  return chainRest(scene.input, state, desc)
}

/** What becomes of a sector that the chain or the manager does not want. */
function gaveUp(scene: Scene): FailureLevel {
  return scene.hasDeals ? 'permanent' : 'abort'
}
