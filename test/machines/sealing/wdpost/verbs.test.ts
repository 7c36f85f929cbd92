/** `troupe util wdpost` against a node: what a person types, reads and is refused; a restart. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Chain, chainConfig, chainMachines } from '../../../../machines/sealing/chain/index.ts'
import {
  WdPoStJobs,
  wdpostMachines,
  wdpostRoutes,
  wdpostVerbGroups,
  wdpostVerbs,
} from '../../../../machines/sealing/wdpost/index.ts'
import { createGateway, type Gateway } from '../../../../src/gateway/index.ts'
import { createNode, defineApp, type TroupeNode } from '../../../../src/index.ts'
import { run } from '../../../cli/rig.ts'
import { sectorsOf } from './inputs.ts'

let jobs: WdPoStJobs
const app = defineApp({
  name: 'proofs',
  machines: [...chainMachines, ...wdpostMachines],
  routes: ({ client, clock }) => {
    jobs = new WdPoStJobs(client, clock)
    return wdpostRoutes(jobs, new Chain(client, clock, chainConfig.parse({})))
  },
  verbs: wdpostVerbs,
  verbGroups: wdpostVerbGroups,
})

const ANY = { AllowedMiners: [], AllowedProofTypes: [] }
let directory: string
let node: TroupeNode
let gateway: Gateway

async function begin(): Promise<void> {
  node = await createNode({ dataDirectory: join(directory, 'node'), apps: [app] })
  gateway = await createGateway({ node, port: 0, graceMs: 500 })
}

async function end(): Promise<void> {
  await gateway.close()
  await node.stop()
}

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-wdpost-'))
  await begin()
})

afterAll(async () => {
  await end()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

const troupe = (...words: string[]) =>
  run(['util', 'wdpost', ...words, '--http', gateway.url], { apps: [app] })

async function create(deadline: string, ...more: string[]) {
  const file = join(directory, 'sectors.json')
  await writeFile(file, JSON.stringify(sectorsOf(3)))
  const of = ['--deadline', deadline, '--proof-type', '2KiB', '--sectors', file]
  return troupe('create', ...of, ...more)
}

it('create, list, detail, reset, remove; all of it over a restart', async () => {
  const made = await create('3', '--partition', '0', '1')
  const id = made.out.trim()
  expect(made.code, made.err).toBe(0)
  // The deadline of one day has one seed.
  expect((await create('3', '--partition', '0', '1')).out.trim()).toBe(id)
  await end()
  await begin()
  const [given] = await jobs.allocate(ANY, 1, 'w1', 'task-1')
  expect(given).toMatchObject({ ID: id, DeadlineIdx: 3, Partitions: [0, 1] })
  const [headings = '', row = ''] = (await troupe('list')).out.split('\n')
  expect(headings.split(/ {2,}/)).toEqual([
    ...['JobID', 'MinerID', 'DDL', 'Partitions', 'Sectors', 'Worker', 'State', 'Try'],
    ...['CreateAt', 'Elapsed', 'Heartbeat', 'Error'],
  ])
  expect(row.split(/ {2,}/)).toEqual([
    ...[id, '1000', '3', '0,1', '3', 'w1', 'Running', '1'],
    ...[
      expect.stringMatching(/^\d{4}-.*Z$/),
      expect.stringMatching(/s$/),
      expect.stringMatching(/s$/),
    ],
  ])
  await jobs.finish(id, null, `out of memory ${'x'.repeat(100)}`)
  await jobs.allocate(ANY, 1, 'w2')
  await jobs.finish(id, null, `out of memory ${'x'.repeat(100)}`)
  expect((await troupe('list')).out).toMatch(/Finished {2}2\(Max\) .* {2}out of memory x{45}…$/m)
  const { out } = await troupe('list', '--detail')
  expect(out).toContain('sectors     3: s-t01000-1 s-t01000-2 s-t01000-3')
  expect(out).toContain(`error       out of memory ${'x'.repeat(100)}`)
  expect((await troupe('reset', id)).out).toBe(`${id}  reset\n`)
  const { jobs: listed } = JSON.parse((await troupe('list', '--json')).out)
  expect(listed).toMatchObject([{ ID: id, State: 'ReadyToRun', TryNum: 0, ErrorReason: '' }])
  await jobs.allocate(ANY, 1, 'w1')
  await jobs.finish(id, { proofs: ['cHJvb2Y='], faults: [] }, '')
  expect((await troupe('list')).out.trim().split('\n')).toHaveLength(1)
  expect((await troupe('list', '--all')).out).toContain(id)
  expect((await troupe('list', '--all', '--detail')).out).toContain('"cHJvb2Y="')
  expect((await troupe('remove', id)).out).toBe(`${id}  removed\n`)
  expect(await troupe('remove', id)).toMatchObject({
    code: 1,
    err: expect.stringContaining('removed manually'),
  })
})

it('removes all only when it is really meant', async () => {
  for (const deadline of ['1', '2']) await create(deadline)
  expect(await troupe('remove-all')).toMatchObject({ code: 2 })
  expect(await jobs.list()).toHaveLength(2)
  expect((await troupe('remove-all', '--really-do-it')).out).toBe('2 removed\n')
  expect(await jobs.list()).toEqual([])
})

it('says what is wrong', async () => {
  expect(await create('48')).toMatchObject({ code: 2 })
  expect(await create('soon')).toMatchObject({ code: 2 })
  expect(await create('1', '--partition', 'x')).toMatchObject({ code: 2 })
  expect(await create('1', '--seed', 'no base64')).toMatchObject({ code: 2 })
  expect(await create('1', '--seed', 'c2hvcnQ=')).toMatchObject({ code: 2 })
  for (const type of ['3KiB', '4', '15', '99999']) {
    expect(await create('1', '--proof-type', type), type).toMatchObject({ code: 2 })
  }
  expect(await troupe('create', '--deadline', '1')).toMatchObject({
    code: 2,
    err: expect.stringContaining('--sectors is missing'),
  })
  const file = join(directory, 'bad.json')
  const bad = () => troupe('create', '--deadline', '1', '--proof-type', '2KiB', '--sectors', file)
  expect(await bad()).toMatchObject({ code: 2, err: expect.stringContaining('ENOENT') })
  await writeFile(file, JSON.stringify([...sectorsOf(1), ...sectorsOf(1, 2_000)]))
  expect(await bad()).toMatchObject({ code: 2, err: expect.stringContaining('one miner') })
  expect(await jobs.list()).toEqual([])
})
