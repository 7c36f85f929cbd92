/** A body that is given up, whenever that is. The rest of it is shown by puts. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { BodyBlobs } from '../../../../../machines/storage/plane/access/body-blobs.ts'
import { codeModeOf } from '../../../../../machines/storage/plane/codes/index.ts'
import { Erasure } from '../../../../../machines/storage/plane/erasure/index.ts'

let erasure: Erasure
beforeAll(async () => {
  erasure = await Erasure.open({ threads: 1 })
})
afterAll(() => erasure.close())

function neverEnding(): BodyBlobs {
  const silent = { next: () => new Promise<IteratorResult<Uint8Array>>(() => {}) }
  const body: AsyncIterable<Uint8Array> = { [Symbol.asyncIterator]: () => silent }
  return new BodyBlobs(erasure as never, body, { mode: codeModeOf('EC6P3'), blobBytes: 1_000 })
}

it('waits no longer for bytes when it is stopped', async () => {
  const blobs = neverEnding()
  const next = blobs.next()
  blobs.stop(new Error('given up'))
  await expect(next).rejects.toThrow('given up')
})

it('does not begin to wait when it was stopped before', async () => {
  const blobs = neverEnding()
  blobs.stop(new Error('given up'))
  await expect(blobs.next()).rejects.toThrow('given up')
})
