/** Objects over real processes: a node and six blobnodes in three AZs, of which one is killed, and bytes flipped. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseBlobId } from '../../../../../machines/storage/plane/access/blob-id.ts'
import { until } from '../../../../waiting.ts'
import { hurt } from '../proof/damage.ts'
import type { StoredObject } from '../proof/objects.ts'
import { StoreFarm } from '../proof/store-farm.ts'

const MIB = 1024 ** 2
const PATIENT = { timeoutMs: 60_000, every: 100 }
let farm: StoreFarm
beforeAll(async () => {
  farm = await StoreFarm.create({ blobnodes: 6, disksEach: 2, chunkBytesMax: 64 * MIB })
  await farm.start()
})
afterAll(() => farm.close())

interface Kept {
  id: string
  bytes: Buffer<ArrayBuffer>
}

async function tryPut(mode: string, size: number): Promise<Kept | undefined> {
  const bytes = randomBytes(size)
  const answer = await fetch(`${farm.url}/blob?mode=${mode}`, { method: 'PUT', body: bytes })
  const body = (await answer.json()) as { id: string }
  expect([201, 503], JSON.stringify(body)).toContain(answer.status)
  return answer.status === 201 ? { id: body.id, bytes } : undefined
}

const put = (mode: string, size: number): Promise<Kept> =>
  until(() => tryPut(mode, size), PATIENT, `a put of ${mode}`)

async function expectRight({ id, bytes }: Kept): Promise<void> {
  const whole = await fetch(`${farm.url}/blob/${id}`)
  expect(whole.status, whole.ok ? '' : await whole.clone().text()).toBe(200)
  expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true)
  const from = Math.floor(bytes.length / 3)
  const range = `bytes=${from}-${from + 99}`
  const part = await fetch(`${farm.url}/blob/${id}`, { headers: { range } })
  expect(part.status).toBe(206)
  expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(from, from + 100))).toBe(true)
}

it('read back with a blobnode killed and shards damaged, are repaired, and go when deleted', async () => {
  const kept = [
    await put('EC6P3', 9 * MIB + 17),
    await put('EC6P3L3', 3 * MIB),
    await put('Replica3', 100_000),
    await put('EC6P3', 1),
  ]
  for (const one of kept) await expectRight(one)

  // At most two units of a volume lie on one host, and each mode bears one more.
  const victim = farm.blobnodes[1]!
  await victim.process.end('SIGKILL')
  for (const one of kept) await expectRight(one)
  const meanwhile = await put('EC6P3', 5 * MIB)
  await expectRight(meanwhile)

  victim.process.start()
  await until(() => fetch(`${victim.url}/stat`).then(({ ok }) => ok), PATIENT, 'it to serve')
  await farm.allUp()
  const [first] = kept as [Kept]
  const place = parseBlobId(first.id)
  const object: StoredObject = {
    ...{ id: first.id, place, sha: '', state: 'live', hurt: new Set(), isBusy: false },
  }
  for (const index of [0, 4]) expect(await hurt(farm, object, index)).toBe(true)
  await expectRight(first)
  const [slice] = place.slices
  const repair = `/troupe/v1/actors/shard-repair/${slice!.vid}-${slice!.firstBid}`
  await until(() => farm.ask(repair), PATIENT, 'its repair to be asked for')

  for (const { id } of [...kept, meanwhile]) {
    const answer = await fetch(`${farm.url}/blob/${id}`, { method: 'DELETE' })
    // Of a unit that was replaced behind the kill an older chunk may be left for a while: then it is only taken.
    expect([200, 202], await answer.text()).toContain(answer.status)
    const isGone = async () => (await fetch(`${farm.url}/blob/${id}`)).status === 404
    if (answer.status === 200) expect(await isGone()).toBe(true)
    else await until(isGone, PATIENT, `${id} to go`)
  }
}, 240_000)
