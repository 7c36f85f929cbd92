/** Backups of a node that works all the while: what was acknowledged before is in each, and each can be used. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { createNode, defineApp, defineMachine, type TroupeNode, tell } from '../../src/index.ts'
import { until } from '../waiting.ts'
import { run } from './rig.ts'

const ACTORS = 40

/** Counts, tells its neighbour now and then, and always has a timer. */
const counter = defineMachine({
  machine: setup({
    types: {
      context: {} as { n: number },
      events: {} as { type: 'ADD' } | { type: 'PASS'; to: string } | { type: 'PASSED' },
    },
    actions: {
      add: assign({ n: ({ context }) => context.n + 1 }),
      pass: tell(({ event }) => ({
        to: (event as unknown as { to: string }).to,
        event: { type: 'PASSED' },
      })),
    },
  }).createMachine({
    id: 'counter',
    context: { n: 0 },
    initial: 'counting',
    states: { counting: { after: { 3600000: 'counting' } } },
    on: { ADD: { actions: 'add' }, PASS: { actions: 'pass' }, PASSED: {} },
  }),
  events: { ADD: z.object({}), PASS: z.object({ to: z.string() }), PASSED: z.object({}) },
  index: ({ n }) => ({ n }),
})
const apps = [defineApp({ name: 'counters', machines: [counter] })]

let cwd: string
let node: TroupeNode | undefined
beforeAll(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-load-'))
})
afterAll(async () => {
  await node?.stop()
  await rm(cwd, { recursive: true, force: true })
})

const addressOf = (k: number) => `counter/c${k}`

it('have all that was acknowledged, and verify', async () => {
  node = await createNode({ dataDirectory: join(cwd, '.data'), apps })
  const { client } = node
  const acknowledged = Array.from({ length: ACTORS }, () => 0)
  for (let k = 0; k < ACTORS; k++) await client.start(addressOf(k))
  let isOver = false
  const work = async (k: number) => {
    while (!isOver) {
      await client.send(addressOf(k), { type: 'ADD' })
      acknowledged[k] = (acknowledged[k] ?? 0) + 1
      const to = addressOf((k * 7 + 1) % ACTORS)
      if ((acknowledged[k] ?? 0) % 5 === 0) await client.send(addressOf(k), { type: 'PASS', to })
    }
  }
  const working = acknowledged.map((_, k) => work(k))
  const sum = () => acknowledged.reduce((all, one) => all + one, 0)
  const taken: number[][] = []
  for (const n of [1, 2, 3]) {
    const before = sum()
    await until(() => sum() > before + 500, { timeoutMs: 30_000 }, 'the node to work')
    taken.push([...acknowledged])
    const backed = await run(['store', 'backup', `b${n}`], { cwd })
    expect(backed.code, backed.err).toBe(0)
    expect((await run(['store', 'verify'], { cwd })).out).toMatch(/^whole: /)
  }
  isOver = true
  await Promise.all(working)
  await node.stop()
  for (const [index, before] of taken.entries()) {
    const [backup, data] = [`b${index + 1}`, `r${index + 1}`]
    expect((await run(['store', 'restore', backup, '--to', data], { cwd })).code).toBe(0)
    expect((await run(['store', 'restore', backup, '--to', data], { cwd })).code).toBe(5)
    expect((await run(['store', 'verify', '--data', data], { cwd })).out).toMatch(/^whole: /)
    node = await createNode({ dataDirectory: join(cwd, data), apps })
    for (let k = 0; k < ACTORS; k++) {
      const { context } = await node.client.get(addressOf(k))
      const { n } = context as { n: number }
      expect(n).toBeGreaterThanOrEqual(before[k] ?? 0)
      expect(n).toBeLessThanOrEqual(acknowledged[k] ?? 0)
    }
    await node.stop()
  }
}, 120_000)
