/** Inspections over real processes: bytes that turned on disks are found and made right, over kills. */
import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseBlobId } from '../../../../../machines/storage/plane/access/blob-id.ts'
import { until } from '../../../../waiting.ts'
import { hurt } from '../../plane/proof/damage.ts'
import type { StoredObject } from '../../plane/proof/objects.ts'
import { StoreFarm } from '../../plane/proof/store-farm.ts'

const MIB = 1024 ** 2
const PATIENT = { timeoutMs: 90_000, every: 200 }
let farm: StoreFarm
beforeAll(async () => {
  farm = await StoreFarm.create({ blobnodes: 3, disksEach: 3, chunkBytesMax: 64 * MIB })
  await farm.start()
}, 120_000)
afterAll(() => farm.close())

async function tryPut(bytes: Buffer<ArrayBuffer>): Promise<string | undefined> {
  const answer = await fetch(`${farm.url}/blob?mode=EC6P3`, { method: 'PUT', body: bytes })
  const { id } = (await answer.json()) as { id: string }
  return answer.status === 201 ? id : undefined
}

const objectOf = (id: string): StoredObject => ({
  ...{ id, place: parseBlobId(id), sha: '', state: 'live', hurt: new Set(), isBusy: false },
})

interface Shown {
  context: { volumes: Record<string, { lease: object | null }>; pass: { corrupt: number } }
  index: { pass: number; inspected: number; finished: number }
}

const inspection = () => farm.ask<Shown>('/troupe/v1/actors/volume-inspect/main')

/** Whether the blobnode gives it: it gives none that is not what was written. */
async function isRight(object: StoredObject, index: number): Promise<boolean> {
  const [slice] = object.place.slices
  const { units } = await farm.ask<{ units: { disk_id: number; vuid: bigint }[] }>(
    `/storage/volumes/${slice?.vid}`,
  )
  const { disk_id = 0, vuid } = units[index] ?? {}
  const { url } = farm.blobnodeOf(disk_id)
  const digits = (BigInt(slice?.vid ?? 0) << 32n) | (BigInt(index) << 24n) | 1n
  expect(Number(digits)).toBe(Number(vuid))
  const path = `/shard/get/diskid/${disk_id}/vuid/${digits}/bid/${slice?.firstBid}`
  return (await fetch(`${url}${path}`)).status === 200
}

it('nobody has read it, and it is made right; a node and a blobnode are killed meanwhile', async () => {
  const objects: StoredObject[] = []
  for (let count = 0; count < 4; count++) {
    const bytes = randomBytes(2 * MIB + count)
    objects.push(objectOf(await until(() => tryPut(bytes), PATIENT, 'a put')))
  }
  const [first, second] = objects as [StoredObject, StoredObject]
  expect(await hurt(farm, first, 2)).toBe(true)
  expect(await hurt(farm, first, 8)).toBe(true)
  expect(await hurt(farm, second, 5)).toBe(true)
  expect(await isRight(first, 8)).toBe(false)

  const switched = { method: 'POST', headers: { 'content-type': 'application/json' } }
  const body = JSON.stringify({ key: 'volume_inspect', value: 'true' })
  await fetch(`${farm.url}/config/set`, { ...switched, body })
  await until(
    async () => Object.values((await inspection()).context.volumes).some(({ lease }) => lease),
    PATIENT,
    'a worker to inspect a volume',
  )
  await farm.node.end('SIGKILL')
  farm.node.start()
  await farm.nodeServes()
  const [victim] = farm.blobnodes
  await victim?.process.end('SIGKILL')
  victim?.process.start()
  await farm.allUp()

  for (const [object, index] of [
    [first, 2],
    [first, 8],
    [second, 5],
  ] as const) {
    await until(
      () => isRight(object, index),
      { timeoutMs: 150_000, every: 500 },
      async () => `shard ${index} to be made right; ${JSON.stringify(await inspection())}`,
    )
  }
  await until(
    async () => (await inspection()).index.finished > 0,
    { timeoutMs: 150_000, every: 500 },
    'an inspection to end',
  )
  const found = await farm.ask<{ rows: { index: { corrupt: number; lost: number } }[] }>(
    '/troupe/v1/actors?machine=volume-inspection',
  )
  expect(found.rows.length).toBeGreaterThan(0)
  expect(found.rows.every(({ index: { lost } }) => lost === 0)).toBe(true)
}, 400_000)
