/** A shard that was served without a journal is brought into a cluster, whatever is lost meanwhile. */
import { describe, expect, it } from 'vitest'
import {
  MemoryCheckpoints,
  MemoryJournal,
  MemoryStore,
  VirtualClock,
} from '../../src/adapters/memory/index.ts'
import type { StoreSnapshot } from '../../src/ports/index.ts'
import { pack } from '../../src/protocol/index.ts'
import { CheckpointAccess } from '../../src/shard/checkpoint-access.ts'
import { encodeCheckpoint } from '../../src/shard/checkpoint-form.ts'
import { type Begun, ShardPublication, type Uploaded } from '../../src/shard/index.ts'
import { actorKey } from '../../src/shard/keys.ts'

const SHARD = 3
const ROWS = 20
/** A row or two. */
const CHUNK_BYTES_MAX = 60

async function scene() {
  const clock = new VirtualClock()
  const store = new MemoryStore({ clock })
  const checkpoints = new MemoryCheckpoints({ clock })
  const journal = new MemoryJournal({ clock })
  const value = Buffer.alloc(30)
  for (let n = 0; n < ROWS; n++) {
    const writes = [[actorKey(SHARD, `ward/${n}`), value] as const]
    store.write({ writes, failed: () => {} })
  }
  await clock.settle(10)
  let attempts = 0
  const random = { fraction: () => 0, id: () => `attempt ${++attempts}` }
  const ports = { store, checkpoints, journal, clock, random }
  const common = { shard: SHARD, node: 'a', id: 'p', chunkBytesMax: CHUNK_BYTES_MAX }
  const access = new CheckpointAccess(SHARD, checkpoints, clock)

  async function upload(): Promise<Uploaded> {
    let outcome: Uploaded | undefined
    new ShardPublication({ ...ports, ...common }).upload((told) => {
      outcome = told
    })
    for (let n = 0; n < 100 && !outcome; n++) await clock.settle(100)
    return outcome!
  }
  async function begin(): Promise<Begun> {
    let outcome: Begun | undefined
    new ShardPublication({ ...ports, ...common }).begin((told) => {
      outcome = told
    })
    for (let n = 0; n < 200 && !outcome; n++) await clock.settle(100)
    return outcome!
  }
  async function look(): Promise<string | undefined> {
    let found: string | undefined
    new ShardPublication({ ...ports, ...common }).look((told) => {
      found = told
    })
    for (let n = 0; n < 100 && !found; n++) await clock.settle(100)
    return found
  }
  /** As a version wrote it that this one cannot read. */
  async function recordForeign(slot: number): Promise<void> {
    checkpoints.record(SHARD, slot, Buffer.from(pack([1, slot, 'of another form'])), () => {})
    await clock.settle(100)
  }
  async function newest() {
    const listed: Parameters<Parameters<typeof access.list>[0]>[0] = []
    access.list((all) => listed.push(...all))
    await clock.settle(100)
    return listed[0]!
  }
  async function problem(): Promise<string | undefined> {
    const told: (string | undefined)[] = []
    access.verify(await newest(), (one) => told.push(one))
    await clock.settle(1_000)
    expect(told).toHaveLength(1)
    return told[0]
  }
  return { store, checkpoints, journal, begin, upload, look, recordForeign, newest, problem }
}

describe('the checkpoint of a shard that is published', () => {
  it('is made once', async () => {
    const { upload, newest, problem } = await scene()
    expect(await upload()).toEqual({ kind: 'made' })
    const { attempt, rows, chunks } = await newest()
    expect([attempt, rows]).toEqual(['attempt 1', ROWS])
    expect(chunks).toBeGreaterThan(5)
    expect(await upload()).toEqual({ kind: 'was there' })
    expect([(await newest()).attempt, await problem()]).toEqual(['attempt 1', undefined])
  })

  it.each(['gone', 'changed'] as const)('is made anew when a chunk is %s', async (how) => {
    const { checkpoints, upload, newest, problem } = await scene()
    await upload()
    const { slot, attempt } = await newest()
    checkpoints.damage({ shard: SHARD, slot, attempt, index: 4 }, how)
    expect(await problem()).toBeDefined()
    expect(await upload()).toEqual({ kind: 'made' })
    expect([(await newest()).attempt, await problem()]).toEqual(['attempt 2', undefined])
    expect(await upload()).toEqual({ kind: 'was there' })
  })

  it('is made anew where the recorded one is of another form', async () => {
    const { upload, recordForeign, newest, problem } = await scene()
    await recordForeign(1)
    expect(await upload()).toEqual({ kind: 'made' })
    expect([(await newest()).attempt, await problem()]).toEqual(['attempt 1', undefined])
  })

  it('is not made where another stands in its slot', async () => {
    const { checkpoints, upload, newest } = await scene()
    const other = { slot: 1, hash: 'other', attempt: 'x', chunks: 0, rows: 0, digest: '' }
    checkpoints.record(SHARD, 1, encodeCheckpoint(other), () => {})
    expect(await upload()).toMatchObject({ kind: 'failed' })
    expect((await newest()).attempt).toBe('x')
  })

  it('may take longer than a snapshot of the store is kept', async () => {
    const { store, upload, newest, problem } = await scene()
    const pagesEach = 3
    let opened = 0
    let closed = 0
    const snapshot = store.snapshot.bind(store)
    store.snapshot = (): StoreSnapshot => {
      opened += 1
      let pages = 0
      const inner = snapshot()
      return {
        page: (range) => (++pages > pagesEach ? undefined : inner.page(range)),
        close: () => {
          closed += 1
          inner.close()
        },
      }
    }
    expect(await upload()).toEqual({ kind: 'made' })
    expect(await problem()).toBeUndefined()
    expect((await newest()).rows).toBe(ROWS)
    expect(opened).toBeGreaterThan(2)
    expect(closed, 'the last one; the others were given up').toBe(1)
  })

  it('fails where the store gives nothing at all', async () => {
    const { store, upload } = await scene()
    store.snapshot = (): StoreSnapshot => ({ page: () => undefined, close: () => {} })
    expect(await upload()).toMatchObject({ kind: 'failed' })
  })
})

describe('the journal of a shard that is published', () => {
  it('begins once', async () => {
    const { begin } = await scene()
    expect(await begin()).toBe('began')
    expect(await begin()).toBe('had begun')
  })

  it.each([
    ['for a moment', 5, 'had begun'],
    ['for good', Number.POSITIVE_INFINITY, 'taken by others'],
  ] as const)('is looked at again while its first slot is missing, %s', async (...given) => {
    const [, looks, expected] = given
    const { journal, begin } = await scene()
    await begin()
    const read = journal.read.bind(journal)
    let missing = looks
    journal.read = (shard, slot, done) => {
      if (missing-- > 0) done({ kind: 'empty' })
      else read(shard, slot, done)
    }
    expect(await begin()).toBe(expected)
  })
})

it('a cluster with checkpoints of any form is not taken for an empty one', async () => {
  const { look, recordForeign } = await scene()
  expect(await look()).toBe('nothing')
  await recordForeign(5)
  expect(await look()).toBe('checkpoints')
})
