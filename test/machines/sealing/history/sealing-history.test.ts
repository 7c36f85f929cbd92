/** The machine and its task in an engine under a virtual clock: written once, over crashes, and kept. */
import { beforeEach, expect, it } from 'vitest'
import {
  type Chapter,
  HISTORY_KEPT_MS,
  Histories,
  sealingHistory,
  sealingRecord,
} from '../../../../machines/sealing/history/index.ts'
import { TaskError } from '../../../../src/machine/index.ts'
import type { TroupeError } from '../../../../src/protocol/index.ts'
import { RUNTIME } from '../../../../src/worker/attempt-runtime.ts'
import type { Harness } from '../../../shard/harness.ts'
import { code, get, open, restart } from '../../../shard/support.ts'
import { chapterOf } from './chapters.ts'

const HISTORY = 'sealing-history/s-t010000-2'
const MACHINES = [sealingHistory]

let h: Harness

beforeEach(() => {
  // Years in one step: the clock does not stop at each look at what is due soon.
  h = open(MACHINES, { limits: { timerHorizonMs: HISTORY_KEPT_MS } })
})

/** One run of the task's code, as a node does it. */
function record(input: Chapter): Promise<void> {
  const { client, clock, limits } = h
  const node = { client, clock, limits, machines: new Map() }
  const attempt = { input, address: 'sealing-thread/w1~a', [RUNTIME]: { node } }
  return h.run(sealingRecord.troupeTask.run(attempt as never))
}

async function chapters(): Promise<Chapter[]> {
  return (await h.run(new Histories(h.client).of('s-t010000-2'))).chapters
}

it('is written once, however often the task runs, over a crash', async () => {
  const unsealed = chapterOf({ plan: 'unseal', startedAt: 10_000, endedAt: 11_000 })
  await record(chapterOf())
  await record(chapterOf())
  h = restart(h, MACHINES)
  await record(unsealed)
  await record(chapterOf())
  await record(unsealed)
  expect(await chapters()).toEqual([chapterOf(), unsealed])
  expect((await get(h, HISTORY)).index).toEqual({
    ...{ worker: 'w1', thread: 'w1~store1-0a1b2c', plan: 'unseal', end: 'Finished' },
    ...{ startedAt: 10_000, endedAt: 11_000, chapters: 2 },
  })
})

it('is kept for so long since its newest chapter, and then gone', async () => {
  await record(chapterOf())
  await h.advance(HISTORY_KEPT_MS - 60_000)
  // What is known already keeps nothing longer.
  const later = chapterOf({ startedAt: 20_000, endedAt: 30_000 })
  await record(later)
  h = restart(h, MACHINES)
  await h.advance(120_000)
  await record(chapterOf())
  await h.advance(HISTORY_KEPT_MS - 240_000)
  expect(await chapters()).toHaveLength(2)
  await h.advance(240_000)
  expect(await code(h, h.client.get(HISTORY))).toBe('unknown-actor')
  expect(await code(h, new Histories(h.client).of('s-t010000-2'))).toBe('not-found')
  await record(later)
  expect(await chapters()).toEqual([later])
})

it('what no repetition helps is said as permanent, what may pass is tried again', async () => {
  const long = chapterOf({ sector: 'x'.repeat(300) })
  const refused = await record(long).catch((thrown: unknown) => thrown)
  expect(refused).toBeInstanceOf(TaskError)
  expect((refused as TaskError).failure).toMatchObject({ class: 'permanent' })
  const unknown = await record(chapterOf({ plan: 'later' as never })).catch((thrown) => thrown)
  expect((unknown as TaskError).failure).toMatchObject({ code: 'invalid-input' })
  h = restart(h, MACHINES, { limits: { requestTimeoutMs: 2_000 } })
  for (const engine of h.engines) engine.stop()
  const away = await record(chapterOf()).catch((thrown: unknown) => thrown)
  expect(away).not.toBeInstanceOf(TaskError)
  expect((away as TroupeError).retry).toBe(true)
})
