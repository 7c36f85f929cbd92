/** What Prometheus reads. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { setup } from 'xstate'
import { createGateway, type Gateway } from '../../src/gateway/index.ts'
import {
  type AppMetric,
  createNode,
  defineApp,
  defineMachine,
  type TroupeNode,
} from '../../src/index.ts'

const lamp = defineMachine({
  machine: setup({}).createMachine({ id: 'lamp', initial: 'off', states: { off: {} } }),
  events: {},
})

let directory: string
let node: TroupeNode
let gateway: Gateway | undefined

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'troupe-'))
})

afterEach(async () => {
  await gateway?.close()
  await node.stop()
  rmSync(directory, { recursive: true, force: true })
})

async function serve(metrics: readonly AppMetric[]): Promise<void> {
  const app = defineApp({ name: 'lamps', machines: [lamp], metrics: () => metrics })
  node = await createNode({ dataDirectory: directory, apps: [app] })
  gateway = await createGateway({ node, port: 0 })
}

test('counts of actors, the shards, and what apps measure', async () => {
  const watts = { name: 'lamps_power_watts', help: 'Power', labels: ['room'] }
  const broken = {
    name: 'lamps_broken',
    help: 'Fails',
    collect: () => Promise.reject(new Error('no')),
  }
  await serve([
    { ...watts, collect: async () => [{ labels: { room: 'hall' }, value: 60 }] },
    broken,
  ])
  await node.client.start('lamp/a')
  await node.client.start('lamp/b')
  const response = await fetch(`${gateway?.url}/metrics`)
  expect(response.headers.get('content-type')).toContain('text/plain')
  const text = await response.text()
  expect(text).toContain('troupe_actors{machine="lamp",condition="active"} 2')
  expect(text).toMatch(/troupe_slot\{shard="63"\} \d+/)
  const total = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}\\{shard="\\d+"\\} (\\S+)$`, 'gm'))].reduce(
      (sum, [, value]) => sum + Number(value),
      0,
    )
  expect(text).toContain('# TYPE troupe_batches_total counter')
  expect(total('troupe_batch_commands_total'), 'what was started').toBe(2)
  expect(total('troupe_batches_total')).toBeGreaterThanOrEqual(1)
  expect(total('troupe_commit_ms_total')).toBeGreaterThan(0)
  expect(text, 'it is alone').not.toContain('troupe_shard_owned')
  expect(text).not.toMatch(/^troupe_epoch\{/m)
  expect(text).toContain('lamps_power_watts{room="hall"} 60')
})

test('the node is asked once in each scrape, and anew in the next', async () => {
  await serve([])
  const ready = vi.spyOn(node, 'ready')
  const read = async () => (await fetch(`${gateway?.url}/metrics`)).text()
  const first = await read()
  expect(ready).toHaveBeenCalledTimes(1)
  for (let n = 0; n < 3; n++) await node.client.start(`lamp/${n}`)
  const slots = (text: string) => text.match(/^troupe_slot.*$/gm)
  expect(slots(await read())).not.toEqual(slots(first))
  expect(ready).toHaveBeenCalledTimes(2)
})

test('what cannot be counted now leaves the other metrics alone', async () => {
  await serve([])
  await node.stop()
  const response = await fetch(`${gateway?.url}/metrics`)
  expect(response.status).toBe(200)
  expect(await response.text()).toMatch(/troupe_slot\{shard="63"\} \d+/)
})

test('a metric with a name that Prometheus cannot read is refused, naming its app', async () => {
  const metric = { name: 'lamps on', help: 'Lamps', collect: async () => [] }
  await expect(serve([metric])).rejects.toMatchObject({
    code: 'invalid-config',
    message: expect.stringContaining('app lamps measures lamps on'),
  })
})

test('two metrics of one name are refused at the start', async () => {
  const metric = { name: 'lamps_count', help: 'Lamps', collect: async () => [] }
  await expect(serve([metric, metric])).rejects.toMatchObject({ code: 'invalid-config' })
})
