/** Histories on a node: written by the task of a machine, found, exported; the figures of stages. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { setup } from 'xstate'
import {
  type Chapter,
  CSV_HEADER,
  chapter,
  Histories,
  StageMetrics,
  sealingHistory,
  sealingRecord,
} from '../../../../machines/sealing/history/index.ts'
import { createGateway } from '../../../../src/gateway/index.ts'
import { createNode, defineApp, defineMachine, type TroupeNode } from '../../../../src/index.ts'
import { until } from '../../../waiting.ts'
import { chapterOf } from './chapters.ts'

/** Archives what it is given, as a thread does. */
const ender = defineMachine({
  machine: setup({
    types: { input: {} as Chapter, context: {} as Chapter },
    actors: { record: sealingRecord },
  }).createMachine({
    id: 'ender',
    context: ({ input }) => input,
    initial: 'archive',
    states: {
      archive: {
        invoke: { src: 'record', input: ({ context }) => context, onDone: 'over' },
      },
      over: {},
    },
  }),
  input: chapter,
  events: {},
})

const metrics = new StageMetrics()
const app = defineApp({
  name: 'sealing',
  machines: [sealingHistory, ender],
  metrics: () => metrics.asAppMetrics(),
})

let directory: string
let node: TroupeNode
let histories: Histories

async function archive(...all: Chapter[]): Promise<void> {
  const ids = all.map(({ sector, startedAt }) => `${sector}.${startedAt}`)
  const enders = ids.map((id) => node.client.actor(ender, id))
  for (const [index, one] of enders.entries()) {
    await one.start(all[index])
    await until(
      async () => (await one.get()).value === 'over',
      { timeoutMs: 20_000 },
      async () => `${one.address} has archived: ${JSON.stringify(await one.get())}`,
    )
  }
}

async function all<T>(of: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of of) found.push(one)
  return found
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-histories-'))
  node = await createNode({ dataDirectory: directory, apps: [app] })
  histories = new Histories(node.client)
  await archive(
    chapterOf({ sector: 's-t010000-1', endedAt: 1_000, thread: 'w2~b', worker: 'w2' }),
    chapterOf({ sector: 's-t010000-2', endedAt: 2_000, end: 'Aborted', reason: 'it expired' }),
    chapterOf({ sector: 's-t010000-2', startedAt: 3_000, endedAt: 4_000, plan: 'rebuild' }),
    chapterOf({ sector: 'job-7', endedAt: 3_000, plan: 'wdpost' }),
  )
})

afterAll(async () => {
  await node.stop()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

it('lists sectors, what ended last first, by their newest chapter', async () => {
  const found = await all(histories.list())
  expect(found.map(({ sector }) => sector)).toEqual(['s-t010000-2', 'job-7', 's-t010000-1'])
  expect(found[0]).toEqual({
    ...{ sector: 's-t010000-2', plan: 'rebuild', worker: 'w1', thread: 'w1~store1-0a1b2c' },
    ...{ end: 'Finished', startedAt: 3_000, endedAt: 4_000, chapters: 2 },
  })
  const sectors = async (filter: object) =>
    (await all(histories.list(filter))).map(({ sector }) => sector)
  expect(await sectors({ since: 3_000 })).toEqual(['s-t010000-2', 'job-7'])
  expect(await sectors({ prefix: 's-t010000-' })).toEqual(['s-t010000-2', 's-t010000-1'])
  expect(await sectors({ worker: 'w2', thread: 'w2~b' })).toEqual(['s-t010000-1'])
  expect(await sectors({ plan: 'wdpost', end: 'Finished' })).toEqual(['job-7'])
  expect(await sectors({ end: 'Aborted' })).toEqual([])
})

it('has all chapters of a sector, and says when there are none', async () => {
  const { chapters, chaptersDropped } = await histories.of('s-t010000-2')
  expect([chapters.map(({ end }) => end), chaptersDropped]).toEqual([['Aborted', 'Finished'], 0])
  await expect(histories.of('s-t010000-9')).rejects.toMatchObject({ code: 'not-found' })
})

it('exports the entries of a filter', async () => {
  const csv = await all(histories.export({ prefix: 's-t010000-' }, 'csv'))
  expect([csv[0], csv.length]).toEqual([CSV_HEADER, 7])
  const json = await all(histories.export({ plan: 'wdpost' }, 'jsonl'))
  expect(json.map((line) => (JSON.parse(line) as { sector: string }).sector)).toEqual([
    ...['job-7', 'job-7'],
  ])
})

it('figures of stages: for Prometheus by themselves, and beside those of the node', async () => {
  const pc1 = { plan: 'sealer', state: 'TicketAssigned' } as const
  metrics.started(pc1, 2_000)
  metrics.started(pc1)
  metrics.ended({ ...pc1, end: 'done', workMs: 3_600_000 })
  metrics.ended({ ...pc1, end: 'temporary', workMs: 20 })
  // A rest is no work, and who says nothing of its beginning is not counted as running.
  metrics.ended({ plan: 'wdpost', state: 'Empty', end: 'idle', workMs: 5 })
  metrics.started({ plan: 'sealer', state: 'PC1Done' })
  const gateway = await createGateway({ node, port: 0 })
  const answer = await fetch(`${gateway.url}/metrics`)
  const texts = [await metrics.text(), await answer.text()]
  await gateway.close()
  for (const text of texts) {
    const lines = text.split('\n').map((line) => line.replaceAll(/app="[^"]*",?/g, ''))
    expect(lines).toEqual(
      expect.arrayContaining([
        'sealing_step_total{stage="PC1",plan="sealer",outcome="done"} 1',
        'sealing_step_total{stage="PC1",plan="sealer",outcome="temporary"} 1',
        'sealing_step_total{stage="Empty",plan="wdpost",outcome="idle"} 1',
        'sealing_step_duration_seconds_sum{stage="PC1"} 3600.02',
        'sealing_step_duration_seconds_count{stage="PC1"} 2',
        'sealing_step_waiting_seconds_sum{stage="PC1"} 2',
        'sealing_step_waiting_seconds_count{stage="PC1"} 1',
        'sealing_step_running{stage="PC1"} 0',
        'sealing_step_running{stage="PC2"} 1',
      ]),
    )
    expect(text).not.toContain('duration_seconds_count{stage="Empty"}')
    expect(text).not.toContain('running{stage="Empty"}')
  }
  expect(texts[0]).toContain('sealing_step_duration_seconds_bucket{le="3600",stage="PC1"} 2')
})
