/** A lane: whose turn it is, how many are in hand, what is counted; over switches, crashes and lost tasks. */
import { beforeEach, describe, expect, it } from 'vitest'
import { laneView } from '../../../../../machines/storage/background/lanes/index.ts'
import { shown } from '../../../../../machines/storage/windows/index.ts'
import { IDC, LanesRig, QUEUE } from './lanes-rig.ts'

const SIZE = 3
const MINUTE_MS = 60_000

let rig: LanesRig

beforeEach(async () => {
  rig = new LanesRig({ workQueueSize: SIZE })
  await rig.begin()
})

const at = () => rig.h.clock.now()
const inHand = async () => Object.keys((await rig.lane('balance')).inHand).sort()
const back = (taskId: string, outcome = 'finished') =>
  rig.say(taskId, { type: 'PLACE_BACK', outcome, at: at() })

async function addMany(count: number): Promise<string[]> {
  const all: string[] = []
  for (let n = 0; n < count; n++) all.push(await rig.add('balance'))
  return all
}

async function hadTurns(taskIds: readonly string[]): Promise<string[]> {
  const had: string[] = []
  for (const id of taskIds) if ((await rig.heard(id)).length > 0) had.push(id)
  return had
}

describe('turns', () => {
  it('nobody has one while the lane is off; those who wait have theirs once it is on', async () => {
    const all = await addMany(2)
    await rig.h.advance(MINUTE_MS * 3)
    expect(await hadTurns(all)).toEqual([])
    expect(laneView(await rig.lane('balance'), at())).toMatchObject({
      ...{ isOn: false, preparing: 2, inHand: 0, why: 'balance is switched off' },
    })
    await rig.set('balance', true)
    await rig.h.advance(500)
    expect(await hadTurns(all)).toEqual(all)
  })

  it('what an operator moves by hand has no switch', async () => {
    const id = await rig.add('manual_migrate')
    await rig.h.advance(500)
    expect(await rig.heard(id)).toMatchObject([{ type: 'PREPARE' }])
    expect(laneView(await rig.lane('manual_migrate'), at())).toMatchObject({ isOn: true })
  })

  it('as many as the work queue holds, the others when a place is given back, in their order', async () => {
    await rig.set('balance', true)
    const all = await addMany(5)
    await rig.h.advance(500)
    expect(await inHand()).toEqual(all.slice(0, SIZE))
    expect(laneView(await rig.lane('balance'), at()).why).toBe(
      '3 are in hand, which is what the work queue holds',
    )
    await back(all[1]!)
    await rig.h.advance(500)
    expect(await hadTurns(all)).toEqual(all.slice(0, 4))
    await back(all[0]!, 'parked')
    await rig.h.advance(500)
    expect(await hadTurns(all)).toEqual(all)
    expect(await inHand()).toEqual(all.slice(2))
  })

  it('a higher priority first, then who has waited longest', async () => {
    const low = await rig.add('balance', -1)
    const old = await rig.add('balance')
    const young = await rig.add('balance')
    const high = await rig.add('balance', 7)
    await rig.set('balance', true)
    await rig.h.advance(500)
    expect(await inHand()).toEqual([old, young, high].sort())
    await back(high)
    await rig.h.advance(500)
    expect(await hadTurns([low])).toEqual([low])
  })

  it('of another type are none of its business', async () => {
    await rig.set('balance', true)
    const drop = await rig.add('disk_drop')
    await rig.h.advance(500)
    expect(await hadTurns([drop])).toEqual([])
    expect(await inHand()).toEqual([])
    expect((await rig.lane('balance')).counts.preparing).toBe(0)
  })

  it('a task that goes back to waiting has another turn', async () => {
    await rig.set('balance', true)
    const id = await rig.add('balance')
    await rig.h.advance(500)
    await back(id, 'waiting')
    expect(await inHand()).toEqual([])
    await rig.say(id, { type: 'ADDED', priority: 0, at: at() }, { isWaiting: true })
    await rig.h.advance(500)
    expect(await rig.heard(id)).toMatchObject([{ type: 'PREPARE' }, { type: 'PREPARE' }])
  })

  it('one that is paused does not keep others back, and has its turn when it goes on', async () => {
    const [paused, other] = (await addMany(2)) as [string, string]
    await rig.h.run(rig.h.client.pause(`migrate-task/${paused}`))
    await rig.set('balance', true)
    await rig.h.advance(500)
    expect(await inHand()).toEqual([other])
    await rig.h.run(rig.h.client.resume(`migrate-task/${paused}`))
    await rig.h.advance(MINUTE_MS + 1_000)
    expect(await hadTurns([paused])).toEqual([paused])
  })

  it('a queue that was deleted by hand is there again for those in hand', async () => {
    await rig.set('balance', true)
    await addMany(1)
    await rig.h.run(rig.h.client.delete(QUEUE))
    await rig.h.advance(MINUTE_MS + 1_000)
    expect((await rig.queue()).idc).toBe(IDC)
  })

  it('a look that fails says why, and is tried again', async () => {
    rig.isFailing = true
    await rig.set('balance', true)
    const id = await rig.add('balance')
    await rig.h.advance(10_000)
    expect(laneView(await rig.lane('balance'), at()).why).toContain('as the test wants it')
    rig.isFailing = false
    await rig.h.advance(40_000)
    expect(await hadTurns([id])).toEqual([id])
    expect(laneView(await rig.lane('balance'), at()).why).toBeNull()
  })

  it('a smaller work queue of the configuration counts from the next look on', async () => {
    await rig.set('balance', true)
    const all = await addMany(SIZE)
    rig.resize(1)
    await rig.h.advance(MINUTE_MS + 1_000)
    const more = await rig.add('balance')
    await back(all[0]!)
    await back(all[1]!)
    await rig.h.advance(500)
    expect(await hadTurns([more])).toEqual([])
    await back(all[2]!)
    await rig.h.advance(500)
    expect(await hadTurns([more])).toEqual([more])
  })
})

describe('places of tasks that are lost', () => {
  it('deleted by hand: taken back by the second look, and not counted any more', async () => {
    await rig.set('balance', true)
    const all = await addMany(SIZE + 1)
    await rig.state(all[0]!, 1, 2)
    expect((await rig.lane('balance')).counts).toMatchObject({ preparing: 3, workerDoing: 1 })
    await rig.h.run(rig.h.client.delete(`migrate-task/${all[0]}`))
    await rig.h.advance(MINUTE_MS + 1_000)
    expect(await inHand()).toEqual(all.slice(0, SIZE))
    await rig.h.advance(MINUTE_MS + 1_000)
    expect(await inHand()).toEqual(all.slice(1))
    expect((await rig.lane('balance')).counts).toMatchObject({ preparing: 3, workerDoing: 0 })
  })

  it('deleted as its turn was told: at once', async () => {
    const [gone, other] = (await addMany(2)) as [string, string]
    await rig.h.run(rig.h.client.send(`migrate-task/${gone}`, { type: 'END' }))
    await rig.set('balance', true)
    await rig.h.advance(1_000)
    expect(await inHand()).toEqual([other])
  })

  it('paused: by the next look; it goes on without one', async () => {
    await rig.set('balance', true)
    const all = await addMany(SIZE + 1)
    await rig.h.run(rig.h.client.pause(`migrate-task/${all[0]}`))
    await rig.h.advance(MINUTE_MS + 1_000)
    expect(await inHand()).toEqual(all.slice(1))
    await rig.h.run(rig.h.client.resume(`migrate-task/${all[0]}`))
    await rig.state(all[0]!, 1, 2)
    expect((await rig.lane('balance')).counts).toMatchObject({ preparing: 3, workerDoing: 1 })
    expect(await inHand()).toEqual(all.slice(1))
  })
})

describe('counts', () => {
  it('by the states that tasks say, each once', async () => {
    const [a, b, c] = (await addMany(3)) as [string, string, string]
    await rig.state(a, 1, 2)
    await rig.state(b, 1, 2)
    await rig.state(b, 2, 3)
    expect((await rig.lane('balance')).counts).toEqual({
      ...{ preparing: 1, workerDoing: 1, finishing: 1 },
    })
    await rig.state(b, 3, 2)
    await rig.state(a, 2, 3)
    await rig.state(a, 3, 4)
    await rig.state(b, 2, null)
    await rig.state(c, 1, 5)
    const view = laneView(await rig.lane('balance'), at())
    expect(view).toMatchObject({ preparing: 0, workerDoing: 0, finishing: 0 })
    expect(view.totals).toMatchObject({ finished: 1, finishedInAdvance: 1 })
    expect(view.perMinute.finished.reduce((sum, n) => sum + n, 0)).toBe(2)
  })

  it('windows and counts survive a crash, and stand where their minutes were', async () => {
    const id = await rig.add('balance')
    await rig.state(id, 1, 2)
    await rig.h.advance(MINUTE_MS * 3)
    await rig.say(id, { type: 'MOVED', at: at(), shards: 7, bytes: 4_096 })
    await rig.h.advance(MINUTE_MS)
    rig.crash()
    await rig.h.advance(100)
    const { windows, counts } = await rig.lane('balance')
    expect(counts.workerDoing).toBe(1)
    expect(shown(windows.shards, at()).slice(-2)).toEqual([7, 0])
    expect(shown(windows.bytes, at()).slice(-2)).toEqual([4_096, 0])
    expect(shown(windows.bytes, at() + 19 * MINUTE_MS)).toEqual(new Array(20).fill(0))
  })

  it('no task is left out or told twice, wherever the node is killed', async () => {
    for (let killAt = 5; killAt <= 200; killAt += 15) {
      rig = new LanesRig({ workQueueSize: SIZE })
      await rig.begin()
      const all = await addMany(SIZE)
      await rig.h.run(
        rig.h.client.ask('storage-switches/main', { type: 'SET', name: 'balance', isOn: true }),
      )
      await rig.h.advance(killAt)
      rig.crash()
      await rig.h.advance(60_000)
      for (const id of all) expect(await rig.heard(id), `${killAt}`).toHaveLength(1)
    }
  })
})

it('is told what it does not know, and says no', async () => {
  for (const wrong of [
    { type: 'STATE', taskId: 'shuffle-1', from: null, to: 1 },
    { type: 'STATE', taskId: 'balance-1', from: 0, to: 6 },
    { type: 'PLACE_BACK', taskId: 'balance-1', outcome: 'lost' },
    { type: 'SUBSCRIBE_AGAIN' },
  ]) {
    await expect(rig.h.run(rig.h.client.send('move-lane/balance', wrong))).rejects.toThrow()
  }
})
