/** Tasks that run on nodes: what they may, where they run, and that no other task may it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { setup } from 'xstate'
import { z } from 'zod'
import {
  createNode,
  defineApp,
  defineMachine,
  nodeOf,
  type TaskOptions,
  type TroupeNode,
  task,
} from '../../src/index.ts'
import { register } from '../../src/node/registration.ts'
import { DEFAULT_LIMITS } from '../../src/protocol/index.ts'
import { until } from '../waiting.ts'

const light = defineMachine({
  machine: setup({ types: { events: {} as { type: 'ON' } } }).createMachine({
    id: 'light',
    initial: 'off',
    states: { off: { on: { ON: 'on' } }, on: {} },
  }),
  events: { ON: z.object({}) },
})

/** Switches on the light of the same id. */
function switchWith(options: Partial<TaskOptions<string, string[]>>) {
  const press = task<string, string[]>({
    name: 'press',
    run: async (attempt) => {
      const { client, clock, limits, machines } = nodeOf(attempt)
      await client.send(attempt.input, { type: 'ON' })
      return [...machines.keys(), typeof clock.now(), typeof limits.leaseMs]
    },
    ...options,
  })
  const machine = setup({
    types: { input: {} as string, context: {} as { light: string } },
    actors: { press },
  }).createMachine({
    id: 'switch',
    context: ({ input }) => ({ light: input }),
    initial: 'pressing',
    states: {
      pressing: {
        invoke: { src: 'press', input: ({ context }) => context.light, onDone: 'pressed' },
      },
      pressed: {},
    },
  })
  const machines = [light, defineMachine({ machine, events: {}, retry: { attemptsMax: 1 } })]
  return defineApp({ name: 'lights', machines })
}

const onNode = { runsOn: 'node', queue: 'press' } as const
let dataDirectory: string
let node: TroupeNode | undefined

beforeEach(() => {
  dataDirectory = mkdtempSync(join(tmpdir(), 'troupe-'))
})

afterEach(async () => {
  await node?.stop()
  rmSync(dataDirectory, { recursive: true, force: true })
})

async function pressed(started: TroupeNode) {
  await started.client.start('light/l')
  await started.client.as('ann').ensure('switch/s', 'light/l')
  const isOver = async () => {
    const { value, parked } = await started.client.get('switch/s')
    return value === 'pressed' || parked !== undefined
  }
  await until(isOver, { timeoutMs: 10_000 }, 'the switch is pressed')
  return started.client.get('switch/s')
}

it.each([[false as const], [{ slots: 1, queues: ['default'] }]])(
  'runs, and speaks to actors in the name of its own, with the worker %j',
  async (worker) => {
    node = await createNode({ dataDirectory, apps: [switchWith(onNode)], worker })
    expect((await pressed(node)).value).toBe('pressed')
    const [turn] = await node.client.history('light/l')
    expect(turn).toMatchObject({ cause: 'ON', by: 'switch/s', to: 'on' })
  },
)

it('a stop does not wait for it, and the next start runs it again', async () => {
  let isHeld = true
  const run: TaskOptions<string, string[]>['run'] = async ({ signal }) => {
    if (!isHeld) return []
    isHeld = false
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    throw signal.reason
  }
  const apps = [switchWith({ ...onNode, run, retry: { attemptsMax: 2, initialMs: 100 } })]
  node = await createNode({ dataDirectory, apps, worker: false })
  await node.client.start('switch/s', 'light/l')
  await until(() => !isHeld, { timeoutMs: 10_000 }, 'it runs')
  const from = performance.now()
  await node.stop()
  expect(performance.now() - from).toBeLessThan(7_000)
  node = await createNode({ dataDirectory, apps, worker: false })
  expect((await pressed(node)).value).toBe('pressed')
})

it('what is not declared so has no node, wherever it runs', async () => {
  node = await createNode({ dataDirectory, apps: [switchWith({})] })
  const { parked } = await pressed(node)
  expect(parked?.error.message).toContain("declare it with runsOn: 'node'")
  expect((await node.client.get('light/l')).value).toBe('off')
})

it('workers elsewhere do not have it, and it has its queue to itself', () => {
  const { tasks, queues, nodeTasks, nodeQueues } = register([switchWith(onNode)], DEFAULT_LIMITS)
  expect([[...tasks.keys()], queues]).toEqual([[], ['default']])
  expect([[...nodeTasks.keys()], nodeQueues]).toEqual([['press'], ['press']])
  const shared = task({ name: 'other', queue: 'press', run: async () => {} }).troupeTask
  const both = [switchWith(onNode), defineApp({ name: 'other', tasks: [shared] })]
  expect(() => register(both, DEFAULT_LIMITS)).toThrow('the queue press has tasks of workers')
  for (const unnamed of [{}, { queue: () => 'press' }]) {
    const apps = [switchWith({ runsOn: 'node', ...unnamed })]
    expect(() => register(apps, DEFAULT_LIMITS)).toThrow('task press runs on nodes: name its queue')
  }
})
