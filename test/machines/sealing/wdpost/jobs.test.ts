/** Jobs of window proofs in an engine under a virtual clock: workers that fail, fall silent, come back. */
import { beforeEach, expect, it } from 'vitest'
import { wdpostJob } from '../../../../machines/sealing/venus/index.ts'
import { challengeHeight } from '../../../../machines/sealing/wdpost/deadlines.ts'
import { WdPoStJobs, wdpostMachines } from '../../../../machines/sealing/wdpost/index.ts'
import { jobIdOf } from '../../../../machines/sealing/wdpost/packed.ts'
import type { Harness } from '../../../shard/harness.ts'
import { code, failure, get, open, restart } from '../../../shard/support.ts'
import { requestOf } from './inputs.ts'

const ANY = { AllowedMiners: [], AllowedProofTypes: [] }
const PROOF = { proofs: ['cHJvb2Y='], faults: [] }

let h: Harness
let jobs: WdPoStJobs

beforeEach(() => {
  h = open(wdpostMachines)
  jobs = new WdPoStJobs(h.client, h.clock)
})

function crash(): void {
  h = restart(h, wdpostMachines)
  jobs = new WdPoStJobs(h.client, h.clock)
}

const create = (fields: Parameters<typeof requestOf>[0] = {}) =>
  h.run(jobs.create(requestOf(fields)))
const finish = (id: string, output: unknown, error = '', task?: string) =>
  h.run(jobs.finish(id, output, error, task))
const beat = async (id: string, worker: string) =>
  (await h.run(jobs.heartbeat([id], worker))).held.length === 1
const job = (id: string) => h.run(jobs.job(id))

async function allocate(worker: string, task?: string, spec: object = {}, count = 1) {
  const given = await h.run(jobs.allocate({ ...ANY, ...spec }, count, worker, task))
  return given.map(({ ID }) => ID)
}

/** A job that a worker has. */
async function begun(worker = 'w1', task?: string): Promise<string> {
  const { ID } = await create()
  expect(await allocate(worker, task)).toEqual([ID])
  return ID
}

it('the same input is the same job, named by what it is of, and has one life', async () => {
  const first = await create()
  expect(first).toMatchObject({ State: 'ReadyToRun', TryNum: 0, MinerID: 1_000, Sectors: 2 })
  expect(first.ID).toMatch(/^[1-9A-HJ-NP-Za-km-z]{8,11}$/)
  const { Seed, ...others } = requestOf().input
  expect(jobIdOf({ Seed, ...others })).toBe(first.ID)
  await allocate('w1')
  expect(await create()).toMatchObject({ ID: first.ID, State: 'Running', TryNum: 1 })
  expect((await create({ seed: 2 })).ID).not.toBe(first.ID)
  expect(await h.run(jobs.list())).toHaveLength(2)
})

it('a worker is given a job as the Venus interface has it, and its proof ends it', async () => {
  const { ID } = await create()
  const [given] = await h.run(jobs.allocate(ANY, 1, 'w1', 'task-1'))
  expect(wdpostJob.parse(given)).toEqual(given)
  expect(given).toMatchObject({ ID, State: 'Running', TryNum: 1, Input: requestOf().input })
  expect(await allocate('w2')).toEqual([])
  await finish(ID, PROOF)
  crash()
  expect(await job(ID)).toMatchObject({ State: 'Finished', Output: PROOF, ErrorReason: '' })
  const before = await get(h, `wdpost-job/${ID}`)
  // Of its lifetime only.
  expect(before.timers).toHaveLength(1)
  await finish(ID, { proofs: ['b3RoZXI='] })
  expect((await get(h, `wdpost-job/${ID}`)).context).toEqual(before.context)
  expect(await h.run(jobs.list())).toEqual([])
  expect(await h.run(jobs.list({ all: true }))).toHaveLength(1)
})

it('jobs are given out by miner and kind, the oldest first, and as many as are wanted', async () => {
  const first = await create({ miner: 1_000 })
  await h.advance(1_000)
  const second = await create({ miner: 2_000, proofType: 11 })
  await h.advance(1_000)
  const third = await create({ miner: 1_000, seed: 2 })
  expect(await allocate('w', undefined, { AllowedMiners: [3_000] })).toEqual([])
  expect(await allocate('w', undefined, { AllowedProofTypes: [7] })).toEqual([])
  // A worker names the kinds of its sectors; proofs of the second version are five numbers on.
  expect(await allocate('w', undefined, { AllowedProofTypes: [6] })).toEqual([second.ID])
  expect(await allocate('w', undefined, {}, 5)).toEqual([first.ID, third.ID])
})

it('the same task has the same jobs again, without another try, and no others', async () => {
  const first = await create()
  await h.advance(1_000)
  await create({ seed: 2 })
  expect(await allocate('w1', 'task-1')).toEqual([first.ID])
  crash()
  expect(await allocate('w1', 'task-1')).toEqual([first.ID])
  expect(await job(first.ID)).toMatchObject({ TryNum: 1 })
  // Also when so much time went by that the job was taken from it.
  await h.advance(16_000)
  expect(await job(first.ID)).toMatchObject({ State: 'ReadyToRun' })
  expect(await allocate('w1', 'task-1')).toEqual([first.ID])
  expect(await job(first.ID)).toMatchObject({ State: 'Running', TryNum: 1 })
})

it('two workers who ask at once never have the same job', async () => {
  for (const seed of [1, 2, 3, 4]) await create({ seed })
  const asked = ['w1', 'w2', 'w3'].map((worker) => jobs.allocate(ANY, 2, worker))
  const given = (await h.run(Promise.all(asked))).flat().map(({ ID }) => ID)
  expect(given).toHaveLength(4)
  expect(new Set(given).size).toBe(4)
})

it('a worker that speaks keeps its job; one that is silent for 15 s loses it, over a crash', async () => {
  const id = await begun('w1')
  for (let beats = 0; beats < 10; beats++) {
    await h.advance(10_000)
    expect(await beat(id, 'w1')).toBe(true)
  }
  expect(await job(id)).toMatchObject({ State: 'Running', TryNum: 1 })
  crash()
  await h.advance(14_000)
  expect(await job(id)).toMatchObject({ State: 'Running' })
  await h.advance(1_100)
  expect(await job(id)).toMatchObject({
    State: 'ReadyToRun',
    ErrorReason: 'worker w1 was silent for 15 s',
  })
})

it('the last worker of a job that waits again has it back by a heartbeat; no other has', async () => {
  const id = await begun('w1')
  await h.advance(16_000)
  expect(await beat(id, 'w2')).toBe(false)
  expect(await beat(id, 'w1')).toBe(true)
  expect(await job(id)).toMatchObject({ State: 'Running', TryNum: 1, ErrorReason: '' })
  expect(await allocate('w2')).toEqual([])
  await h.advance(16_000)
  expect(await allocate('w2')).toEqual([id])
  expect(await beat(id, 'w1')).toBe(false)
  expect(await job(id)).toMatchObject({ WorkerName: 'w2', TryNum: 2 })
})

it('an error is tried again once, with its reason; then the job has failed', async () => {
  const id = await begun('w1')
  await finish(id, null, 'the GPU is on fire', 'task-1')
  const waiting = { State: 'ReadyToRun', TryNum: 1, ErrorReason: 'the GPU is on fire' }
  expect(await job(id)).toMatchObject(waiting)
  // Whoever gave it up does not hold it any more.
  expect(await beat(id, 'w1')).toBe(false)
  await finish(id, null, 'the GPU is on fire', 'task-1')
  expect(await job(id)).toMatchObject(waiting)
  expect(await allocate('w2', 'task-2')).toEqual([id])
  await finish(id, null, 'the GPU is on fire', 'task-1')
  expect(await job(id)).toMatchObject({ State: 'Running', TryNum: 2 })
  await finish(id, null, 'mine too', 'task-3')
  expect(await job(id)).toMatchObject({ State: 'Finished', TryNum: 2, ErrorReason: 'mine too' })
  expect(await allocate('w3')).toEqual([])
  expect(await h.run(jobs.list())).toHaveLength(1)
})

it('neither a proof nor an error is an error', async () => {
  const id = await begun()
  await finish(id, null)
  expect(await job(id)).toMatchObject({
    State: 'ReadyToRun',
    ErrorReason: expect.stringContaining('no output'),
  })
})

it('a proof that comes late counts all the same', async () => {
  const id = await begun('w1')
  await h.advance(16_000)
  await allocate('w2')
  await h.advance(16_000)
  expect(await job(id)).toMatchObject({ State: 'Finished', Output: null })
  await finish(id, PROOF)
  expect(await job(id)).toMatchObject({ State: 'Finished', Output: PROOF, ErrorReason: '' })
})

it('reset begins anew; removed, a job is told as that, and can be wanted again', async () => {
  const id = await begun()
  await finish(id, PROOF)
  await h.run(jobs.reset(id, 'ann'))
  expect(await job(id)).toMatchObject({
    State: 'ReadyToRun',
    TryNum: 0,
    Output: null,
    FinishedAt: 0,
  })
  await allocate('w1')
  await h.run(jobs.remove(id, 'ann'))
  expect((await failure(h, jobs.job(id))).message).toContain('removed manually')
  expect(await code(h, jobs.finish(id, PROOF, ''))).toBe('not-found')
  expect(await h.run(jobs.heartbeat([id], 'w1'))).toEqual({ held: [], lost: [id] })
  expect(await create()).toMatchObject({ ID: id, State: 'ReadyToRun', TryNum: 0 })
  await create({ seed: 2 })
  expect(await h.run(jobs.removeAll('ann'))).toBe(2)
  expect(await h.run(jobs.list({ all: true }))).toEqual([])
})

it('a job that an operator has paused is given to nobody, and begins nothing when it goes on', async () => {
  const { ID } = await create()
  await h.run(h.client.pause(`wdpost-job/${ID}`))
  expect(await allocate('w1')).toEqual([])
  await h.run(h.client.resume(`wdpost-job/${ID}`))
  expect(await job(ID)).toMatchObject({ State: 'ReadyToRun', TryNum: 0 })
})

it('what is said of a paused job is not kept for later, but its end is', async () => {
  const id = await begun('w1')
  const { HeartbeatAt } = await job(id)
  await h.run(h.client.pause(`wdpost-job/${id}`))
  await h.advance(3_000)
  expect(await beat(id, 'w1')).toBe(false)
  await h.run(h.client.resume(`wdpost-job/${id}`))
  expect(await job(id)).toMatchObject({ State: 'Running', HeartbeatAt })
  await h.run(h.client.pause(`wdpost-job/${id}`))
  await finish(id, PROOF)
  await h.run(h.client.resume(`wdpost-job/${id}`))
  expect(await job(id)).toMatchObject({ State: 'Finished', Output: PROOF })
})

it('of pages of an error the beginning is kept', async () => {
  const id = await begun('w1')
  await finish(id, null, 'x'.repeat(20_000))
  expect((await job(id)).ErrorReason).toBe('x'.repeat(10_000))
})

it('after 25 hours it is gone with all that it held, whatever became of it', async () => {
  const id = await begun()
  await finish(id, PROOF)
  await h.advance(25 * 3_600_000 - 60_000)
  expect(await job(id)).toMatchObject({ State: 'Finished' })
  crash()
  await h.advance(120_000)
  expect(await code(h, jobs.job(id))).toBe('not-found')
  expect(await code(h, h.client.get(`wdpost-job/${id}/input`))).toBe('unknown-actor')
})

it('a whole partition fits, and a heartbeat does not write it again', async () => {
  const { ID } = await create({ count: 2_349 })
  const [given] = await h.run(jobs.allocate(ANY, 1, 'w1'))
  expect(given?.Input.Sectors).toHaveLength(2_349)
  const { context } = await get(h, `wdpost-job/${ID}`)
  expect(JSON.stringify(context).length).toBeLessThan(1_000)
  await beat(ID, 'w1')
  expect((await get(h, `wdpost-job/${ID}/input`)).turn).toBe(1)
})

it('is the same all through a proving period, and never of the future', () => {
  expect(challengeHeight(1_000, 3)).toBe(160)
  expect(challengeHeight(160 + 2_879, 3)).toBe(160)
  expect(challengeHeight(160 + 2_880, 3)).toBe(3_040)
  for (let deadline = 0; deadline < 48; deadline++) {
    for (const head of [1_000, 2_880, 10_007]) {
      const height = challengeHeight(head, deadline)
      expect(height).toBeLessThanOrEqual(head)
      expect(head - height).toBeLessThan(2_880)
    }
  }
})
