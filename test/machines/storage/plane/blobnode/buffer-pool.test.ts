/** Memory for many shards: what is given back is given out again, up to a bound. */
import { expect, it } from 'vitest'
import { BufferPool } from '../../../../../machines/storage/plane/blobnode/buffer-pool.ts'

it('gives out what was given back, for bodies of about that size', () => {
  const pool = new BufferPool()
  const first = pool.take(100_000)
  expect(first.length).toBe(100_000)
  expect(pool.take(100_000).buffer).not.toBe(first.buffer)
  pool.give(first)
  expect(pool.idleBytes).toBe(131_072)
  const second = pool.take(70_000)
  expect(second.length).toBe(70_000)
  expect(second.buffer).toBe(first.buffer)
  expect(pool.idleBytes).toBe(0)
  expect(pool.take(0).length).toBe(0)
})

it('keeps no more than so much of what lies idle', () => {
  const pool = new BufferPool(200_000)
  const buffers = [pool.take(100_000), pool.take(100_000)]
  for (const buffer of buffers) pool.give(buffer)
  expect(pool.idleBytes).toBe(131_072)
})
