import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { assign, fromCallback, setup } from 'xstate'
import { z } from 'zod'
import {
  createNode,
  defineApp,
  defineMachine,
  openLog,
  type TroupeNode,
  task,
} from '../../src/index.ts'

const add = task<{ n: number }, number>({ name: 'add', run: async ({ input }) => input.n + 1 })

const adder = defineMachine({
  machine: setup({
    types: { context: {} as { n: number }, events: {} as { type: 'GO' } },
    actors: { add, ticks: fromCallback(({ sendBack }) => sendBack({ type: 'GO' })) },
  }).createMachine({
    id: 'adder',
    context: { n: 1 },
    initial: 'idle',
    states: {
      idle: { on: { GO: 'adding' } },
      adding: {
        invoke: {
          src: 'add',
          input: ({ context }) => ({ n: context.n }),
          onDone: { target: 'listening', actions: assign({ n: ({ event }) => event.output }) },
        },
      },
      listening: { invoke: { src: 'ticks' }, on: { GO: 'end' } },
      end: { type: 'final' },
    },
  }),
  events: { GO: z.object({}) },
})

let dataDirectory: string
let node: TroupeNode | undefined

beforeEach(() => {
  dataDirectory = mkdtempSync(join(tmpdir(), 'troupe-'))
})

afterEach(async () => {
  await node?.stop()
  rmSync(dataDirectory, { recursive: true, force: true })
})

const app = defineApp({ name: 'adders', machines: [adder] })

test('a task runs on the worker and a callback beside the owner', async () => {
  node = await createNode({ dataDirectory, apps: [app] })
  await node.client.start('adder/x')
  await node.client.send('adder/x', { type: 'GO' })
  const done = await node.client.waitFor('adder/x', (view) => view.status === 'done')
  expect(done.context).toEqual({ n: 2 })
  const causes = (await node.client.history('adder/x')).map((entry) => entry.cause)
  expect(causes).toEqual(['GO', 'xstate.done.actor.0.adder.adding', 'GO', 'start'])
})

test('a stop is no fault: the log has neither errors nor warnings of it', async () => {
  const lines: string[] = []
  const log = openLog({ destination: { write: (line) => lines.push(line) } })
  node = await createNode({ dataDirectory, apps: [app], log })
  await node.stop()
  expect(lines.at(-1)).toContain('the node has stopped')
  expect(lines.filter((line) => /"level":"(warn|error)"/.test(line))).toEqual([])
})

test('what was acknowledged is there after a restart', async () => {
  node = await createNode({ dataDirectory, apps: [app] })
  await node.client.start('adder/y')
  await node.stop()
  node = await createNode({ dataDirectory, apps: [app] })
  expect((await node.client.get('adder/y')).value).toBe('idle')
})

test('data keep the number of shards that they were made with', async () => {
  const start = (options: { shardCount?: number } = {}) =>
    createNode({ dataDirectory, apps: [app], worker: false, ...options })
  for (const shardCount of [0, 1.5, 4_097]) {
    await expect(start({ shardCount })).rejects.toMatchObject({
      code: 'invalid-config',
      message: `shards: ${shardCount} is not a whole number from 1 to 4096`,
    })
  }
  for (const options of [{ shardCount: 3 }, {}, { shardCount: 3 }]) {
    node = await start(options)
    expect((await node.ready()).shards).toHaveLength(3)
    await node.stop()
  }
  node = undefined
  await expect(start({ shardCount: 4 })).rejects.toMatchObject({
    code: 'invalid-config',
    message: expect.stringContaining('has 3, and this node was told of 4'),
  })
})

test('a second node on the same directory makes the first stop', async () => {
  node = await createNode({ dataDirectory, apps: [app] })
  await node.client.start('adder/z')
  const second = await createNode({ dataDirectory, apps: [app] })
  await expect(
    node.client.send('adder/z', { type: 'GO' }, { timeoutMs: 500 }),
  ).rejects.toMatchObject({
    code: expect.stringMatching(/unavailable|no-answer/),
  })
  expect(await node.stopped).toMatch(/another process/)
  expect((await second.client.get('adder/z')).value).toBe('idle')
  await second.stop()
})

test('readiness names what does not make progress', async () => {
  node = await createNode({ dataDirectory, apps: [app] })
  expect(await node.ready()).toMatchObject({ ready: true, reasons: [] })
  const stopping = node.stop()
  expect((await node.ready()).reasons).toContain('the node is stopping')
  await stopping
})

test.each([
  [{ name: 'a.b' }, /name: "a\.b"/],
  [{ cluster: 'a *' }, /cluster: "a \*"/],
  [{ config: { adder: {} } }, /apps\.adder: there is no app "adder"; did you mean "adders"\?/],
  [{ config: { adders: {} } }, /takes no configuration/],
])('refuses %j before anything is opened', async (wrong, says) => {
  const directory = join(dataDirectory, 'new')
  const made = createNode({ dataDirectory: directory, apps: [app], ...wrong })
  await expect(made).rejects.toMatchObject({
    code: 'invalid-config',
    message: expect.stringMatching(says),
  })
  expect(existsSync(directory)).toBe(false)
})

test('a data directory that it makes is nobody else’s to read', async () => {
  const directory = join(dataDirectory, 'new')
  node = await createNode({ dataDirectory: directory, apps: [app] })
  expect(statSync(directory).mode & 0o777).toBe(0o700)
})

test('a daemon that fails to stop keeps neither the others nor the store', async () => {
  const stopped: string[] = []
  const daemon = (name: string, stop: () => Promise<void>) => ({
    name,
    start: async () => {},
    stop,
  })
  const daemons = [
    daemon('first', async () => void stopped.push('first')),
    daemon('second', () => Promise.reject(new Error('no'))),
  ]
  node = await createNode({ dataDirectory, apps: [{ ...app, daemons: () => daemons }] })
  await node.stop()
  expect(stopped).toEqual(['first'])
  expect(await node.stopped).toBe('stopped')
})

test('a machine that cannot be hosted is refused before anything is opened', async () => {
  const bad = defineApp({ name: 'adders', machines: [adder, adder] })
  await expect(createNode({ dataDirectory, apps: [bad] })).rejects.toMatchObject({
    code: 'not-hosted',
    message: expect.stringContaining('two machines are named adder'),
  })
})

test('singletons of an app cannot be ended by operators, others of their machine can', async () => {
  const app = defineApp({
    name: 'sums',
    machines: [adder],
    singletons: [{ machine: 'adder', id: 'the one/and only' }],
  })
  node = await createNode({ dataDirectory, apps: [app] })
  const { address } = node.client.actor(adder, 'the one/and only')
  for (const end of [
    node.client.delete(address),
    node.client.cancel(address),
    node.client.dryRun(address, { op: 'delete' }),
  ]) {
    await expect(end).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('singleton'),
    })
  }
  await node.client.pause(address)
  await node.client.resume(address)
  expect(await node.client.get(address)).toMatchObject({ status: 'active' })
  await node.client.start('adder/other')
  await node.client.cancel('adder/other')
  await node.client.delete('adder/other')
})
