/**
 * The plan `wdpost`: a proof that sectors are still there. Decides: what becomes of a job whatever happens to
 * its processor, and how long the manager is told that somebody works on it. Nothing of it is on a disk.
 */
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { stepError } from '../thread/index.ts'
import { ManagerRefusal, sealProofOf, sizeText, wdpostJob } from '../venus/index.ts'
import { specOf } from './allocating.ts'
import { causeChain, processorKind } from './failures.ts'
import type { StepResult } from './ports.ts'
import type { Scene } from './scene.ts'
import { by } from './staging.ts'
import { listOfBase64, proofBytes } from './task-bytes.ts'
import { idleRest } from './waits.ts'

/** A result that the manager refuses this often is not wanted: the job was removed, or is another's. */
const REFUSALS_MAX = 3

/** Processors that are down may be back; after so many rests somebody else should have the job. */
const OUTAGE_RESTS_MAX = 3

const jobInput = wdpostJob.shape.Input
const postOutput = z.object({ proofs: z.array(proofBytes), faults: z.array(z.int()).default([]) })

export async function allocateJob(scene: Scene): Promise<StepResult> {
  const { workerName } = scene.deps
  const jobs = await scene.allocate('WdPoStAllocateJobs', [specOf(scene), 1, workerName])
  const [job] = jobs
  if (!job) return idleRest(scene.input, 'there is no window proof to make')
  return { event: 'Allocated', record: { job: { id: job.ID, input: job.Input } } }
}

/** Whatever the processor fails with is the result of the job: the one who asked for it decides. */
export async function generate(scene: Scene): Promise<StepResult> {
  try {
    const { output, process } = await scene.run('window_post', postTask(scene), postOutput)
    const proofs = output.proofs.map((proof) => proof.toString('base64'))
    const held = await scene.put('window-post', { Proofs: proofs, Faults: output.faults })
    return { event: 'Generate', record: { jobOutput: held }, ...by(process) }
  } catch (thrown) {
    const kind = processorKind(thrown)
    const isWaiting = kind === 'unhealthy' && scene.input.rests < OUTAGE_RESTS_MAX
    if (scene.signal.aborted || kind === 'cancelled' || isWaiting) throw thrown
    scene.deps.log.warn({ error: causeChain(thrown) }, 'a window proof could not be made')
    return { event: 'Generate', record: { jobOutput: { error: causeChain(thrown) } } }
  }
}

export async function reportJob(scene: Scene): Promise<StepResult> {
  const { id } = scene.need('job')
  const output = scene.need('jobOutput')
  const [result, error] = 'error' in output ? [null, output.error] : [await scene.open(output), '']
  try {
    await scene.callOnce('WdPoStFinishJob', [id, result, error])
  } catch (thrown) {
    if (!(thrown instanceof ManagerRefusal) || scene.input.retries < REFUSALS_MAX) throw thrown
    const fields = { job: id, error: thrown.message }
    scene.deps.log.warn(fields, 'the manager does not want the result of a window proof')
  }
  return { event: 'Finish', record: {} }
}

/** Nothing is left of it, and without heartbeats the manager gives an aborted one to somebody else. */
export async function endJob(): Promise<StepResult> {
  return { event: 'Ended', record: {} }
}

function postTask(scene: Scene): object {
  const read = jobInput.safeParse(scene.need('job').input)
  if (!read.success) throw stepError('permanent', 'the input of the window proof cannot be read')
  const { Sectors, MinerID, ProofType, Seed } = read.data
  const replicas = Sectors.map(({ SectorID, CommR, Accesses: { CacheDir, SealedFile } }) => ({
    sector_id: SectorID.Number,
    comm_r: listOfBase64(CommR),
    cache_dir: absolute(CacheDir),
    sealed_file: absolute(SealedFile),
  }))
  const proof_type = windowProofName(ProofType)
  return { miner_id: MinerID, proof_type, replicas, seed: listOfBase64(Seed) }
}

/** Numbers of window proofs go with those of seals: the first version has the same, the second five more. */
function windowProofName(number: number): string {
  const isSecond = number >= 10 && number <= 14
  const size = sizeText(sealProofOf(isSecond ? number - 5 : number).sizeBytes)
  return `StackedDrgWindow${size}V1${isSecond ? '_1' : ''}`
}

function absolute(path: string): string {
  if (isAbsolute(path)) return path
  throw stepError('permanent', `"${path.slice(0, 200)}" of the job is no absolute path`)
}
