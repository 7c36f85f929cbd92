/** `troupe machines check` says, before a roll-out, what becomes of every live actor, and is right. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { assign, setup } from 'xstate'
import { z } from 'zod'
import { createGateway, type Gateway } from '../../src/gateway/index.ts'
import { createNode, defineApp, defineMachine, type TroupeNode } from '../../src/index.ts'
import { scriptArguments } from '../script.ts'
import { type Ran, run } from './rig.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

interface Context {
  n: number
  secret: string
}
type Migrations = NonNullable<Parameters<typeof defineMachine>[0]['migrations']>

/** `open` → `busy` → `end`; later versions have other states. */
function order(version: number, states: readonly string[], migrations: Migrations = {}) {
  const events = { type: '' } as unknown as { type: 'NEXT' } | { type: 'END' }
  const all = [...states, 'end']
  return defineMachine({
    machine: setup({ types: { context: {} as Context, events } }).createMachine({
      id: 'order',
      context: { n: 1, secret: 'x' },
      initial: all[0]!,
      states: Object.fromEntries(
        all.map((state, index) => [
          state,
          index === all.length - 1
            ? { type: 'final' as const }
            : {
                on: {
                  NEXT: { target: all[index + 1]!, actions: assign({ n: 2 }) },
                  END: { target: 'end' },
                },
              },
        ]),
      ),
    }),
    version,
    migrations,
    secrets: ['secret'],
    events: { NEXT: z.object({}), END: z.object({}) },
  })
}

const v1 = order(1, ['open', 'busy'])
const app = (machine: ReturnType<typeof order>) => [
  defineApp({ name: 'orders', machines: [machine] }),
]

let cwd: string
let node: TroupeNode
let gateway: Gateway
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'troupe-check-'))
  node = await createNode({ dataDirectory: join(cwd, '.data'), apps: app(v1) })
  gateway = await createGateway({ node, port: 0 })
  for (const id of ['a', 'b', 'c', 'd']) await node.client.start(`order/${id}`)
  for (const id of ['b', 'c']) await node.client.send(`order/${id}`, { type: 'NEXT' })
  await node.client.send('order/d', { type: 'END' })
})
afterEach(async () => {
  await gateway.close()
  await node.stop()
  await rm(cwd, { recursive: true, force: true })
})

function check(machine: ReturnType<typeof order>, ...argv: string[]): Promise<Ran> {
  const env = { TROUPE_HTTP: gateway.url }
  return run(['machines', 'check', ...argv], { cwd, apps: app(machine), env })
}
const WAYS = [['a data directory', ['--data', '.data']] as const, ['the node', []] as const]

it.each(WAYS)('says that the same machine changes nothing, from %s', async (_from, argv) => {
  const { code, out } = await check(v1, ...argv)
  expect(out).toMatch(
    /^MACHINE +VERSION +STATE +OUTCOME +COUNT +WHY\norder +1 +busy +stays +2\norder +1 +end +finished +1\norder +1 +open +stays +1\n4 actors; all of them go on\n$/,
  )
  expect(code).toBe(0)
})

it.each(WAYS)('tells migrations from what would be parked, and why, from %s', async (_f, argv) => {
  const v2 = order(2, ['open', 'working'], { 1: (state) => state })
  const { code, out } = await check(v2, ...argv)
  expect(out).toMatch(/order +1 +open +migrates +1\n/)
  expect(out).toMatch(
    /order +1 +busy +WOULD BE PARKED +2 +order version 2 has no state "busy".*; such as order\/b order\/c\n/,
  )
  expect(out).toContain('4 actors; 2 of them would not go on')
  expect(code).toBe(1)
})

it('says where a migration leads', async () => {
  const v2 = order(2, ['open', 'working'], {
    1: ({ value, context }) => ({ value: value === 'busy' ? 'working' : value, context }),
  })
  const { code, out } = await check(v2, '--data', '.data', '--json')
  expect(code).toBe(0)
  expect(JSON.parse(out)).toMatchObject({ ok: true, actors: 4, stuck: 0, unknown: {} })
  expect(JSON.parse(out).rows).toContainEqual({
    ...{ machine: 'order', version: 1, state: 'busy', to: 'working', outcome: 'migrates' },
    ...{ count: 2, examples: ['order/b', 'order/c'] },
  })
})

it('says what the engine then does, for each kind of failure', async () => {
  const broken: Migrations = {
    1: ({ value, context }) => {
      if ((context as Context).n === 2) throw new Error(`cannot read ${Math.PI}`)
      return { value, context }
    },
  }
  const versions: [ReturnType<typeof order>, RegExp][] = [
    [order(2, ['open', 'busy']), /has no migration from version 1/],
    [order(2, ['open', 'busy'], broken), /the migration of order from version 1 failed: cannot/],
    [
      order(2, ['open', 'busy'], { 1: ({ value }) => ({ value, context: { f: () => {} } }) }),
      /gave a context that cannot be stored/,
    ],
  ]
  await gateway.close()
  await node.stop()
  for (const [machine, why] of versions) {
    const { out } = await check(machine, '--data', '.data', '--json')
    const { rows, stuck } = JSON.parse(out)
    for (const row of rows.filter(({ outcome }: { outcome: string }) => outcome === 'parks'))
      expect(row.why).toMatch(why)
    const after = await createNode({ dataDirectory: join(cwd, '.data'), apps: app(machine) })
    const views = await Promise.all(
      ['a', 'b', 'c', 'd'].map((id) => after.client.get(`order/${id}`)),
    )
    await after.stop()
    expect(views.filter((view) => view.parked !== undefined).length).toBe(stuck)
    expect(stuck).toBeGreaterThan(0)
    // As it was, for the next one.
    const back = await createNode({ dataDirectory: join(cwd, '.data'), apps: app(v1) })
    await back.stop()
  }
})

it('knows actors that are newer, of no machine, and parked ones that go on', async () => {
  await gateway.close()
  await node.stop()
  const v2 = order(2, ['open', 'working'], { 1: (state) => state })
  const newer = await createNode({ dataDirectory: join(cwd, '.data'), apps: app(v2) })
  await newer.client.send('order/a', { type: 'NEXT' })
  await newer.client.resume('order/b', { state: 'open' })
  await newer.stop()
  const old = JSON.parse((await check(v1, '--data', '.data', '--json')).out)
  expect(old.rows).toContainEqual(
    expect.objectContaining({ version: 2, state: 'working', outcome: 'newer', count: 1 }),
  )
  expect(old.rows).toContainEqual(
    expect.objectContaining({
      version: 1,
      state: 'busy',
      outcome: 'goes-on',
      examples: ['order/c'],
    }),
  )
  const other = await run(['machines', 'check', '--data', '.data'], { cwd })
  expect(other.out).toContain('no machine "order" here: 4 actors would be left as they are, asleep')
  expect(other.code).toBe(0)
})

it('loads the new version from a file, in a process of its own beside the node', async () => {
  const machine = `import { defineMachine } from 'troupe'
import { createMachine } from 'xstate'
export const m = defineMachine({ machine: createMachine({ id: 'order', initial: 'x', states: { x: {} } }), version: 2, events: {} })`
  await writeFile(join(cwd, 'order.mjs'), machine)
  const argv = ['machines', 'check', '--data', '.data', '--app', 'order.mjs', '--json']
  const child = spawn(process.execPath, [...scriptArguments(MAIN), ...argv], { cwd })
  let [out, err] = ['', '']
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  const [code] = await once(child, 'close')
  expect([code, err]).toEqual([1, ''])
  expect(JSON.parse(out)).toMatchObject({ stuck: 3 })
  expect((await node.client.send('order/a', { type: 'NEXT' })).value).toBe('busy')
}, 30_000)
