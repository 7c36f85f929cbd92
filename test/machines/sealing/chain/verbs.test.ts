/** `troupe sealing chain` against a node: what a person types, reads and is refused; a restart. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  Chain,
  chainConfig,
  chainMachines,
  chainRoutes,
  chainVerbGroups,
  chainVerbs,
} from '../../../../machines/sealing/chain/index.ts'
import { createGateway, type Gateway } from '../../../../src/gateway/index.ts'
import { createNode, defineApp, type TroupeNode } from '../../../../src/index.ts'
import { run } from '../../../cli/rig.ts'
import { until } from '../../../waiting.ts'
import { sector } from './rig.ts'

const BLOCK_MS = 20
let chain: Chain
const app = defineApp({
  name: 'chains',
  machines: chainMachines,
  routes: (context) => {
    chain = new Chain(context.client, context.clock, chainConfig.parse({ blockMs: BLOCK_MS }))
    return chainRoutes(chain)
  },
  verbs: chainVerbs,
  verbGroups: chainVerbGroups,
})

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
  directory = await mkdtemp(join(tmpdir(), 'troupe-chain-'))
  await begin()
})

afterAll(async () => {
  await end()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

const troupe = (...words: string[]) =>
  run(['sealing', 'chain', ...words, '--http', gateway.url], { apps: [app] })

const reaches = (number: number, wanted: string) =>
  until(
    async () => (await chain.messageState('snapUp', sector(number))).state === wanted,
    { timeoutMs: 20_000 },
    async () => JSON.stringify(await chain.messageState('snapUp', sector(number))),
  )

it('says what is wrong', async () => {
  const wrong = [
    ['inject', 'flood'],
    ['inject', 'reorg'],
    ['inject', 'fail', '--rate', '2'],
    ['inject', 'fail', '--rate', '0.1', '--message', 'prove'],
    ['inject', 'fail', '--count', 'many'],
    ['inject', 'fail', '--sector', '7'],
    ['reorg', '901'],
    ['reorg', 'deep'],
  ]
  for (const words of wrong) {
    const ran = await troupe(...words)
    expect(ran, words.join(' ')).toMatchObject({ code: 2, err: expect.stringMatching(/\S/) })
  }
  expect(JSON.parse((await troupe('show', '--json')).out)).toMatchObject({ scripted: [], forks: 0 })
})

it('a reorganisation is shown, and a restart forgets nothing', async () => {
  await chain.submit('snapUp', sector(1), {}, { replace: false })
  await reaches(1, 'Landed')
  const { out } = await troupe('reorg', '2')
  const [, from, at] = /reorganisation 1 {2}blocks (\d+) to (\d+)/.exec(out) ?? []
  expect(Number(at)).toBe(Number(from) + 1)
  await end()
  await begin()
  expect((await troupe('show')).out).toContain(`reorganisation 1  blocks ${from} to ${at}`)
  expect(await chain.messageState('snapUp', sector(1))).toMatchObject({ state: 'Landed' })
})

it('shows height, batches and faults, and a message meets its fault', async () => {
  await chain.submit('preCommit', sector(1), {}, { replace: false })
  await troupe('inject', 'fail', '--message', 'snapUp', '--count', '1')
  await troupe('inject', 'reorg', '--rate', '0.0005')
  const shown = await troupe('show')
  expect(shown.code).toBe(0)
  expect(shown.out).toMatch(/^height 1\d{3} {2}a block each 0.02 s {2}\d+ reorganisations$/m)
  expect(shown.out).toMatch(/batch {2}preCommit of t01000 {2}1\/2 wait {2}goes in 3\d{3} s/)
  expect(shown.out).toContain('rate  reorg  0.05 % of blocks')
  expect(shown.out).toContain('fault  fail  the next 1: snapUp')
  await chain.submit('snapUp', sector(2), {}, { replace: false })
  await reaches(2, 'Failed')
  const none = JSON.parse((await troupe('inject', 'none', '--json')).out)
  expect(none).toMatchObject({ rates: { reorg: 0 }, scripted: [], blockMs: BLOCK_MS })
})
