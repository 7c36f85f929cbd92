/** Upkeep over HTTP, on a real node: messages as the old store's queue took them, lists, counters, replay. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseStorageJson } from '../../../../../machines/storage/plane/codes/index.ts'
import { until } from '../../../../waiting.ts'
import { PlaneRig } from '../plane-rig.ts'

const PATIENT = { timeoutMs: 20_000 }
const BID = 2n ** 60n + 7n
let rig: PlaneRig
beforeAll(async () => {
  rig = await PlaneRig.create()
})
afterAll(() => rig.close())

/** As a proxy of the old store sends it. */
async function tell(path: string, body: string) {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch(`${rig.listenerUrl}${path}`, { method: 'POST', headers, body })
  return { status: answer.status, text: await answer.text() }
}

const inState = (address: string, state: string) =>
  until(
    async () => {
      const { value } = await rig.node.client.get(address)
      return value === state
    },
    PATIENT,
    `${address} to be ${state}`,
  )

it('takes a repair, and keeps it while repair is switched off', async () => {
  const body = `{"cluster_id":1,"bid":${BID},"vid":7,"bad_idxes":[3,1],"reason":"inspect"}`
  expect(await tell('/repairmsg', body)).toEqual({ status: 200, text: '' })
  await inState(`shard-repair/7-${BID}`, 'held')
  const { context } = await rig.node.client.get(`shard-repair/7-${BID}`)
  expect(context).toMatchObject({
    ...{ vid: 7, bid: BID, badIndexes: [1, 3], reason: 'inspect' },
    waitsFor: 'shard_repair is switched off',
  })
})

it('takes deletions of several blobs, whose bytes stay for three days', async () => {
  const body = `{"cluster_id":1,"blobs":[{"bid":${BID},"vid":7},{"bid":12,"vid":8}]}`
  expect(await tell('/deletemsg', body)).toEqual({ status: 200, text: '' })
  for (const id of [`7-${BID}`, '8-12']) {
    await inState(`blob-delete/${id}`, 'held')
    const { context } = await rig.node.client.get(`blob-delete/${id}`)
    const { dueAt } = context as { dueAt: number }
    expect(Math.abs(dueAt - Date.now() - 72 * 3_600_000)).toBeLessThan(60_000)
  }
})

it.each([
  ['/repairmsg', '{"bid":0,"vid":7,"bad_idxes":[1]}'],
  ['/repairmsg', '{"bid":5,"vid":0,"bad_idxes":[1]}'],
  ['/repairmsg', '{"bid":5,"vid":7,"bad_idxes":[]}'],
  ['/repairmsg', '{"bid":5,"vid":7,"bad_idxes":[256]}'],
  ['/deletemsg', '{"blobs":[]}'],
  ['/deletemsg', '{"blobs":[{"bid":5}]}'],
])('refuses what is no message: %s %s', async (path, body) => {
  const { status } = await tell(path, body)
  expect(status).toBe(400)
})

it('has those paths at listeners of its own only', async () => {
  const { status } = await rig.post('/repairmsg', { bid: 5, vid: 7, bad_idxes: [1] })
  expect(status).toBe(404)
})

it('shows messages and how tries ended, and replays what failed', async () => {
  const closed = await rig.post('/storage/upkeep/shard_repair/replay')
  expect(closed.status).toBe(409)
  expect(closed.body.error.message).toContain('switched off')
  const held = await rig.get('/storage/upkeep/shard_repair/messages?state=held')
  expect(held.body).toMatchObject({
    messages: [{ vid: 7, bid: BID, tries: 0, waits_for: 'shard_repair is switched off' }],
  })

  // There is no volume 7: its tries fail, and are counted.
  await rig.parts.switches.set('shard_repair', true)
  await inState(`shard-repair/7-${BID}`, 'waiting')
  await until(
    async () => {
      const { body } = await rig.get('/storage/upkeep/shard_repair')
      return body.total_err_cnt > 0
    },
    PATIENT,
    'it to be counted',
  )
  const { body } = await rig.get('/storage/upkeep/shard_repair')
  expect(body).toMatchObject({ kind: 'shard_repair', failed_cnt: 1, success_cnt: 0 })
  expect(body.err_kinds).toMatchObject({ 'there is no volume #': expect.any(Number) })
  expect(body.success_per_min).toHaveLength(20)
  expect(body.failed_per_min.at(-1) + body.failed_per_min.at(-2)).toBeGreaterThan(0)
  const replayed = await rig.post('/storage/upkeep/shard_repair/replay', { states: ['waiting'] })
  expect(replayed).toMatchObject({ status: 200, body: { states: ['waiting'] } })
  const wrong = await rig.post('/storage/upkeep/shard_repair/replay', { states: ['done'] })
  expect(wrong.status).toBe(409)
})

it('says which kinds there are', async () => {
  const { status, body } = await rig.get('/storage/upkeep/balance')
  expect(status).toBe(400)
  expect(body.error.message).toContain(
    'shard_repair (shard-repair) and blob_delete (blob-delete) are',
  )
})

it('keeps messages and counters over a restart of the node', async () => {
  const before = parseStorageJson(
    await (await fetch(`${rig.url}/storage/upkeep/shard_repair`)).text(),
  ) as { total_err_cnt: number }
  await rig.stop()
  await rig.start()
  const { body } = await rig.get('/storage/upkeep/shard_repair')
  expect(body.total_err_cnt).toBeGreaterThanOrEqual(before.total_err_cnt)
  const { value } = await rig.node.client.get('blob-delete/8-12')
  expect(value).toBe('held')
})
