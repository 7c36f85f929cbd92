/** What routes of a node ask queues for: waiting without asking again and again, and calls that find their queue. */
import { beforeEach, describe, expect, it } from 'vitest'
import type {
  Acquired,
  WorkerQueues,
} from '../../../../../machines/storage/background/lanes/index.ts'
import { code } from '../../../../shard/support.ts'
import { IDC, LanesRig, QUEUE } from './lanes-rig.ts'

const LEASE_MS = 10_000
const STAT = { doneSize: 10, doneCount: 1, totalSize: 20, totalCount: 2, progress: 50 }

let rig: LanesRig
let queues: WorkerQueues

beforeEach(async () => {
  rig = new LanesRig()
  await rig.begin()
  await rig.set('balance', true)
  queues = rig.queues()
})

const nobody = new AbortController().signal
const taskOf = (acquired: Acquired) => ('task' in acquired ? acquired.task.task_id : acquired.none)

/** Turns of the queue so far. */
async function turns(): Promise<number> {
  return (await rig.h.run(rig.h.client.get(QUEUE))).turn
}

function wait(worker: string, waitMs = 60_000, signal = new AbortController().signal) {
  const one = { taken: undefined as Acquired | undefined }
  void queues.acquire({ idc: IDC, worker, waitMs, signal }).then((taken) => {
    one.taken = taken
  })
  return one
}

describe('acquire', () => {
  it('gives the task as the reference writes it, with a token and the time of its lease', async () => {
    const id = await rig.offer('balance')
    const given = await rig.h.run(queues.acquire({ idc: IDC, worker: 'w', signal: nobody }))
    expect(given).toMatchObject({
      ...{ task: { task_id: id, task_type: 'balance', state: 2 }, leaseMs: LEASE_MS },
      token: expect.any(Number),
    })
    expect(await rig.h.run(queues.acquire({ idc: IDC, worker: 'w', signal: nobody }))).toEqual({
      none: 'nothing to do',
    })
  })

  it('of an idc that has no queue there is nothing, and none is made', async () => {
    const asked = queues.acquire({ idc: 'nowhere', worker: 'w', signal: nobody })
    expect(await rig.h.run(asked)).toEqual({ none: 'nothing to do' })
    const view = rig.h.client.get('worker-queue/nowhere')
    expect(await code(rig.h, view)).toBe('unknown-actor')
  })

  it('whoever waits is given a task as soon as it is offered', async () => {
    const one = wait('w')
    await rig.h.advance(4_000)
    expect(one.taken).toBeUndefined()
    const from = await turns()
    const id = await rig.offer('balance')
    expect(taskOf(one.taken!)).toBe(id)
    expect((await turns()) - from).toBe(2)
  })

  it('one task wakes one of those who wait, and they cost nothing meanwhile', async () => {
    const crowd = Array.from({ length: 50 }, (_, n) => wait(`w${n}`))
    await rig.h.advance(100)
    const from = await turns()
    const id = await rig.offer('balance')
    expect(crowd.map(({ taken }) => taken && taskOf(taken))).toEqual([
      id,
      ...new Array<undefined>(49).fill(undefined),
    ])
    // The offer, the one that got it, and the one behind it that looked, too.
    expect((await turns()) - from).toBe(3)
  })

  it('tasks that are free together reach all who wait', async () => {
    await rig.set('balance', false)
    const ids: string[] = []
    for (let n = 0; n < 3; n++) ids.push(await rig.offer('balance'))
    const crowd = Array.from({ length: 5 }, (_, n) => wait(`w${n}`))
    await rig.h.advance(100)
    await rig.set('balance', true)
    await rig.h.advance(100)
    const got = crowd.flatMap(({ taken }) => (taken ? [taskOf(taken)] : []))
    expect(got.sort()).toEqual(ids.sort())
  })

  it("a lost worker's task reaches who waits within a second after its lease", async () => {
    const id = await rig.offer('balance')
    await rig.h.run(queues.acquire({ idc: IDC, worker: 'dead', signal: nobody }))
    const one = wait('w')
    await rig.h.advance(LEASE_MS - 500)
    expect(one.taken).toBeUndefined()
    await rig.h.advance(1_000)
    expect(taskOf(one.taken!)).toBe(id)
  })

  it('what nobody was told of is found by a look', async () => {
    const one = wait('w')
    await rig.h.advance(100)
    const { transport } = rig.h
    const publish = transport.publish.bind(transport)
    transport.publish = (subject, payload) => {
      if (!Buffer.from(payload).includes('FREED')) publish(subject, payload)
    }
    const id = await rig.offer('balance')
    expect(one.taken).toBeUndefined()
    await rig.h.advance(6_000)
    expect(taskOf(one.taken!)).toBe(id)
  })

  it('ends when its time is over, when the worker goes away, and with the node', async () => {
    const short = wait('a', 2_000)
    const gone = new AbortController()
    const left = wait('b', 60_000, gone.signal)
    const last = wait('c')
    await rig.h.advance(2_100)
    expect(short.taken).toEqual({ none: 'nothing to do' })
    gone.abort()
    await rig.h.advance(10)
    expect(left.taken).toHaveProperty('none')
    const from = await turns()
    const id = await rig.offer('balance')
    expect(taskOf(last.taken!)).toBe(id)
    expect((await turns()) - from).toBe(2)
    const other = wait('d')
    await rig.h.advance(100)
    queues.close()
    await rig.h.advance(10)
    expect(other.taken).toHaveProperty('none')
  })

  it('what was given to a worker that has gone away meanwhile is free at once', async () => {
    const id = await rig.offer('balance')
    const gone = new AbortController()
    const asked = queues.acquire({ idc: IDC, worker: 'a', signal: gone.signal })
    gone.abort()
    expect(await rig.h.run(asked)).toEqual({ none: 'the worker has gone away' })
    const given = await rig.h.run(queues.acquire({ idc: IDC, worker: 'b', signal: nobody }))
    expect(taskOf(given)).toBe(id)
  })

  it('a task that is not prepared any more is not given', async () => {
    const stale = await rig.offer('balance')
    const id = await rig.offer('balance')
    await rig.tellFrom(stale, [], { state: 3 })
    const given = await rig.h.run(queues.acquire({ idc: IDC, worker: 'w', signal: nobody }))
    expect(taskOf(given)).toBe(id)
  })

  it('a task that an operator has paused is not given, until it is resumed', async () => {
    const paused = await rig.offer('balance')
    const id = await rig.offer('balance')
    await rig.h.run(rig.h.client.pause(`migrate-task/${paused}`))
    const given = await rig.h.run(queues.acquire({ idc: IDC, worker: 'w', signal: nobody }))
    expect(taskOf(given)).toBe(id)
    await rig.tellFrom(id, [{ to: QUEUE, event: { type: 'WITHDRAW', taskId: id } }])
    const one = wait('w')
    await rig.h.advance(50_000)
    expect(one.taken).toBeUndefined()
    await rig.h.run(rig.h.client.resume(`migrate-task/${paused}`))
    await rig.h.advance(12_000)
    expect(taskOf(one.taken!)).toBe(paused)
  })

  it('says that an operator has paused the queue', async () => {
    await rig.h.run(rig.h.client.pause(QUEUE))
    const asked = queues.acquire({ idc: IDC, worker: 'w', signal: nobody })
    expect(await code(rig.h, asked)).toBe('unavailable')
  })
})

describe('calls', () => {
  it('find their queue by the task, where the worker does not say its idc', async () => {
    const id = await rig.offer('balance')
    const given = await rig.h.run(queues.acquire({ idc: IDC, worker: 'w', signal: nobody }))
    const token = 'token' in given ? given.token : null
    const call = { worker: 'w', taskId: id, token }
    const elsewhere = rig.queues()
    const report = { ...call, stat: STAT, shards: 1, bytes: 2 }
    expect(await rig.h.run(elsewhere.report(report))).toEqual({ ok: true })
    const { sources: src, destination: dest } = rig.units(id)
    expect(await rig.h.run(elsewhere.complete({ ...call, src, dest }))).toEqual({ ok: true })
    const unknown = { ...call, taskId: 'balance-1-7-nobody', reason: 'none' }
    expect(await rig.h.run(elsewhere.cancel(unknown))).toEqual({
      ...{ refused: 'no-queue', message: 'there is no task balance-1-7-nobody' },
    })
    expect(await rig.h.run(elsewhere.reclaim({ ...unknown, idc: 'nowhere' }))).toEqual({
      ...{ refused: 'no-queue', message: 'no such idc queue: nowhere' },
    })
  })

  it('cancel keeps a task from workers for as long as the configuration says', async () => {
    const id = await rig.offer('balance')
    await rig.h.run(queues.acquire({ idc: IDC, worker: 'w', signal: nobody }))
    const call = { worker: 'w', taskId: id, token: null, reason: 'source is away' }
    expect(await rig.h.run(queues.cancel(call))).toEqual({ ok: true })
    const one = wait('w2')
    await rig.h.advance(19_000)
    expect(one.taken).toBeUndefined()
    await rig.h.advance(1_500)
    expect(taskOf(one.taken!)).toBe(id)
  })

  it('renewals say per task what was not renewed', async () => {
    const id = await rig.offer('balance')
    const given = await rig.h.run(queues.acquire({ idc: IDC, worker: 'w', signal: nobody }))
    const token = 'token' in given ? given.token : null
    const tasks = [
      { id, token },
      { id: 'balance-1-7-nobody', token: null },
    ]
    expect(await rig.h.run(queues.renew({ idc: IDC, worker: 'w', tasks }))).toEqual({
      errors: { 'balance-1-7-nobody': 'balance-1-7-nobody is not with workers now' },
    })
    expect(await rig.h.run(queues.renew({ idc: 'nowhere', worker: 'w', tasks }))).toEqual({
      errors: {
        [id]: 'no such idc queue: nowhere',
        'balance-1-7-nobody': 'no such idc queue: nowhere',
      },
    })
    expect(await queues.renew({ idc: 'nowhere', worker: 'w', tasks: [] })).toEqual({ errors: {} })
  })
})
