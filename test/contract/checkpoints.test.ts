import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  MemoryBlobs,
  MemoryCheckpoints,
  MemoryRegistry,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import { BlobCheckpoints, FileBlobs, SystemClock } from '../../src/adapters/system/index.ts'
import type { ChunkReadOutcome, ClaimOutcome } from '../../src/ports/index.ts'
import { checkpointsSuite } from './checkpoints.suite.ts'
import { answer, bytes, realTime } from './support.ts'

const CHUNK = { shard: 1, slot: 5, attempt: 'a', index: 0 }

checkpointsSuite('memory', async () => {
  const clock = new VirtualClock()
  const checkpoints = new MemoryCheckpoints({ clock })
  return {
    checkpoints,
    connect: async () => checkpoints.connect(),
    elapse: (ms) => clock.settle(ms),
    close: async () => {},
  }
})

checkpointsSuite('files and a registry', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'troupe-checkpoints-'))
  const blobs = new FileBlobs(directory)
  const registry = new MemoryRegistry({ clock: new SystemClock() })
  return {
    checkpoints: new BlobCheckpoints(blobs, registry),
    connect: async () => new BlobCheckpoints(blobs, registry),
    ...realTime,
    close: () => rm(directory, { recursive: true }),
  }
})

it('an error of the blobs is an unknown outcome, and keeps the chunks of what is still recorded', async () => {
  const registry = new MemoryRegistry({ clock: new SystemClock() })
  const blobs = new MemoryBlobs()
  const checkpoints = new BlobCheckpoints(blobs, registry)
  const ask = <T>(call: (done: (outcome: T) => void) => void) => answer<T>(realTime, call)
  await ask<string>((done) => checkpoints.write(CHUNK, bytes('x'), done))
  await ask<ClaimOutcome>((done) => checkpoints.record(1, 5, bytes('r'), done))
  registry.failNext({ on: 'remove', happened: false })
  expect(await ask<string>((done) => checkpoints.removeBelow(1, 9, done))).toBe('unknown')
  expect(await blobs.list('')).toHaveLength(1)
  registry.failNext({ on: 'list', happened: false })
  expect(await ask<string>((done) => checkpoints.removeBelow(1, 9, done))).toBe('unknown')
  const broken = () => Promise.reject(new Error('no disk'))
  Object.assign(blobs, { put: broken, get: broken, delete: broken })
  expect(await ask<string>((done) => checkpoints.write(CHUNK, bytes('x'), done))).toBe('unknown')
  expect(await ask<string>((done) => checkpoints.removeBelow(1, 9, done))).toBe('unknown')
  const outcome = await ask<ChunkReadOutcome>((done) => checkpoints.read(CHUNK, done))
  expect(outcome).toEqual({ kind: 'unknown', why: 'no disk' })
})
