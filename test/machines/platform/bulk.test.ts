/** `troupe actors bulk` against a node: what a person types, reads and is refused; what became of the actors. */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { platform } from '../../../machines/platform/index.ts'
import { createGateway, type Gateway } from '../../../src/gateway/index.ts'
import { createNode, defineApp, type TroupeNode } from '../../../src/index.ts'
import { type RunInit, run } from '../../cli/rig.ts'
import { until } from '../../waiting.ts'
import { order, vault } from './bulk-machines.ts'

let directory: string
let node: TroupeNode
let gateway: Gateway
const apps = [platform, defineApp({ name: 'shop', machines: [order, vault] })]

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-bulk-'))
  // No worker: an operator must be able to stop actors while everything else is held up.
  node = await createNode({ dataDirectory: join(directory, 'node'), apps, worker: false })
  gateway = await createGateway({ node, port: 0, graceMs: 500 })
})

afterEach(async () => {
  await gateway.close()
  await node.stop()
  await rm(directory, { recursive: true, force: true, maxRetries: 5 })
})

const env = { TROUPE_AUTHOR: 'ann' }
const troupe = (words: readonly string[], init: RunInit = {}) =>
  run(['actors', 'bulk', ...words, '--http', gateway.url], { apps: [platform], env, ...init })

const FAST = ['--per-second', '5000', '--yes', '--wait']

async function orders(count: number): Promise<string[]> {
  const addresses = Array.from({ length: count }, (_, n) => `order/o${n}`)
  await Promise.all(
    addresses.map((address, n) =>
      node.client.start(address, { customer: n % 2 === 0 ? 'ann' : 'bob' }),
    ),
  )
  return addresses
}

const causesOf = async (address: string) =>
  (await node.client.history(address)).map(({ cause, by }) => `${cause} by ${by}`).reverse()

it('pauses what the filter finds, although nobody fits it any more once it is paused', async () => {
  const all = await orders(1_200)
  await node.client.send('order/o2', { type: 'PAY', amount: 1 })
  await node.client.pause('order/o4')
  const done = await troupe(['pause', '--machine', 'order', '--state', 'open', ...FAST])
  expect(done).toMatchObject({ code: 0, err: '' })
  expect(done.out).toMatch(/^bulk\/\w+ {2}completed {2}pause order state=open {2}by ann\n/)
  expect(done.out).toContain('1198 of 1198 done, 0 skipped, 0 failed')
  const once = ['start by client', 'pause by ann']
  for (const address of all) {
    if (address === 'order/o2' || address === 'order/o4') continue
    expect(await causesOf(address)).toEqual(once)
  }
  expect(await causesOf('order/o2')).toEqual(['start by client', 'PAY by client'])
  const [entry] = await node.client.audit({ address: 'order/o7' })
  const id = /bulk\/\w+/.exec(done.out)?.[0]
  expect(entry).toMatchObject({ author: 'ann', operation: 'pause' })
  expect(entry?.commandId).toMatch(new RegExp(`^\\d+-${id}$`))
})

it('resumes, sends, retries and cancels', async () => {
  await orders(6)
  await troupe(['pause', '--machine', 'order', '--where', 'customer=ann', ...FAST])
  const kept = await troupe(['send', 'COUNT', '--machine', 'order', ...FAST])
  expect(kept.out).toContain('6 of 6 done')
  expect(kept.out).toContain('3 events wait for them')
  await troupe(['resume', '--machine', 'order', '--condition', 'paused', ...FAST])
  const counts = await Promise.all(
    [0, 1, 2, 3, 4, 5].map(async (n) => (await node.client.get(`order/o${n}`)).context),
  )
  expect(counts).toEqual(counts.map(() => expect.objectContaining({ turns: 1 })))
  await troupe([
    'send',
    'PAY',
    '{"amount":3}',
    '--machine',
    'order',
    '--where',
    'customer=bob',
    ...FAST,
  ])
  const retried = await troupe(['retry', '--machine', 'order', '--state', 'paid', ...FAST])
  expect(retried.out).toContain('3 of 3 done')
  const moved = ['resume', '--machine', 'order', '--state', 'paid', '--at-state', 'open', ...FAST]
  expect((await troupe(moved)).out).toContain('3 of 3 done')
  const ended = await troupe(['cancel', '--machine', 'order', '--reason', 'shop closes', ...FAST])
  expect(ended.out).toContain('6 of 6 done')
  expect((await node.client.history('order/o1'))[0]).toMatchObject({
    cause: 'cancel',
    by: 'ann',
    note: 'shop closes',
  })
  const again = await troupe(['cancel', '--machine', 'order', ...FAST])
  expect(again).toMatchObject({ code: 0, out: 'no actor that it could cancel\n' })
})

it('shows nobody what an event carries', async () => {
  await orders(1)
  await troupe(['send', 'PAY', '{"amount":4711}', '--machine', 'order', '--id', 'b', ...FAST])
  expect((await node.client.get('bulk/b')).context).toMatchObject({ payload: { amount: 4711 } })
  const views = [
    await run(['actors', 'get', 'bulk/b', '--json', '--http', gateway.url]),
    await troupe(['show', 'b', '--json']),
  ]
  for (const { code, out } of views) {
    expect([code, out]).toEqual([0, expect.stringContaining('PAY')])
    expect(out).not.toContain('4711')
  }
})

it('what takes no event is skipped, with a reason each', async () => {
  await orders(4)
  await node.client.send('order/o1', { type: 'PAY', amount: 1 })
  const paid = await troupe(['send', 'PAY', '{"amount":2}', '--machine', 'order', ...FAST])
  expect(paid.code).toBe(0)
  expect(paid.out).toContain('3 of 4 done, 1 skipped, 0 failed')
  expect(paid.out).toContain('order/o1  unhandled: its state "paid" has no transition for PAY')
})

it('says whom it would ask, asks a person first, and asks nobody when it may not', async () => {
  await orders(30)
  const words = ['cancel', '--machine', 'order', '--state', 'open']
  const dry = await troupe([...words, '--dry-run'])
  expect(dry.code).toBe(0)
  expect(dry.out.split('\n')[0]).toBe('30 actors')
  expect(dry.out.split('\n').filter((line) => /^ {2}order\/o\d+$/.test(line))).toHaveLength(10)
  expect(dry.out).toContain('  and 20 more')
  const json = JSON.parse((await troupe([...words, '--dry-run', '--json'])).out)
  expect(json).toMatchObject({ dryRun: true, total: { count: 30, isLeast: false } })
  const asked: string[] = []
  const question = async (text: string) => {
    asked.push(text)
    return 'no'
  }
  const refused = await troupe(words, { question, isTty: true })
  expect(refused).toMatchObject({ code: 1, out: '' })
  expect(asked).toEqual(['cancel 30 actors? Type yes: '])
  expect(refused.err).toContain('nothing was changed')
  const nobody = await troupe(words)
  expect(nobody).toMatchObject({ code: 2, err: expect.stringContaining('say --yes') })
  expect((await node.client.count({ machine: 'order', condition: 'active' }))[0]?.count).toBe(30)
  const agreed = await troupe([...words, '--wait'], { question: async () => 'yes', isTty: true })
  expect(agreed).toMatchObject({ code: 0 })
  expect(agreed.out).toContain('30 of 30 done')
})

it('is begun under a name, watched, listed, stopped', async () => {
  await orders(60)
  const words = [
    'send',
    'COUNT',
    '--machine',
    'order',
    '--id',
    'slow',
    '--per-second',
    '1',
    '--yes',
  ]
  const begun = await troupe(words)
  expect(begun.out).toMatch(/^bulk\/slow {2}(listing|running) {2}send COUNT to order/)
  expect(begun.err).toContain('troupe actors bulk stop slow')
  expect(await troupe(words)).toMatchObject({ code: 5 })
  const running = async () => (await troupe(['list'])).out.startsWith('slow  running  send order')
  await until(running, { timeoutMs: 10_000 }, 'it runs')
  expect((await troupe(['stop', 'slow'])).out).toContain('bulk/slow  running')
  const ended = await troupe(['show', 'slow', '--wait'], { isTty: true })
  expect(ended).toMatchObject({ code: 1, err: expect.stringContaining('send running [') })
  expect(ended.out).toContain('bulk/slow  stopped')
  expect(ended.out).toContain('10 of 60 done, 0 skipped, 0 failed')
  const json = JSON.parse((await troupe(['show', 'slow', '--json'])).out)
  expect(json).toMatchObject({ id: 'slow', status: 'stopped', done: 10, author: 'ann' })
  expect(await troupe(['stop', 'slow'])).toMatchObject({ code: 5 })
  for (const verb of ['show', 'stop']) {
    const unknown = await troupe([verb, 'nobody'])
    expect(unknown).toMatchObject({
      code: 4,
      err: expect.stringContaining('there is no bulk nobody'),
    })
  }
})

it.each<[code: number, why: string, words: string[]]>([
  [2, '--machine is missing', ['pause']],
  [4, 'no machine is named "ordr"', ['pause', '--machine', 'ordr']],
  [1, 'order has no state "opn"', ['pause', '--machine', 'order', '--state', 'opn']],
  [1, 'order has no state "x"', ['resume', '--machine', 'order', '--at-state', 'x']],
  [1, 'order takes no event "PY" (it takes: CHECK, ', ['send', 'PY', '--machine', 'order']],
  [1, 'PAY: ', ['send', 'PAY', '{"amount":"x"}', '--machine', 'order']],
  [2, 'payload: it must be a JSON object', ['send', 'PAY', '[1]', '--machine', 'order']],
  [2, 'payload: ', ['send', 'PAY', '{', '--machine', 'order']],
  [1, 'an admin changes them one by one', ['cancel', '--machine', 'vault']],
  [2, '--per-second', ['pause', '--machine', 'order', '--per-second', 'fast']],
  [2, 'perSecond', ['pause', '--machine', 'order', '--per-second', '0']],
  [2, 'perSecond', ['pause', '--machine', 'order', '--per-second', '10001']],
  [2, 'condition', ['pause', '--machine', 'order', '--condition', 'odd']],
  [2, '--older-than: must be a duration', ['pause', '--machine', 'order', '--older-than', 'old']],
  [2, '"customer" is not FIELD=VALUE', ['pause', '--machine', 'order', '--where', 'customer']],
  [2, '"card" is a secret of order', ['pause', '--machine', 'order', '--where', 'card=1']],
  [2, 'cannot name a bulk', ['pause', '--machine', 'order', '--id', 'a/b']],
])('ends with %i and says "%s": %j', async (code, why, words) => {
  await orders(1)
  const said = await troupe([...words, '--yes'])
  expect([said.err, said.code]).toEqual([expect.stringContaining(why), code])
  expect(await node.client.list({ filter: { machine: 'bulk' } })).toEqual({ rows: [] })
})

it('who may only look begins nothing; who operates needs no more', async () => {
  const users = (['read', 'operate'] as const).map((role) => ({
    name: `${role}er`,
    role,
    tokenSha256: createHash('sha256').update(tokenOf(role)).digest('hex'),
  }))
  const door = await createGateway({ node, port: 0, graceMs: 500, users })
  const at = (role: string, words: string[]) =>
    run(['actors', 'bulk', ...words, '--http', door.url, '--token', tokenOf(role)], {
      apps: [platform],
    })
  try {
    await orders(2)
    const pause = ['pause', '--machine', 'order', ...FAST]
    expect(await at('read', pause)).toMatchObject({
      code: 1,
      err: expect.stringContaining('operate'),
    })
    expect((await at('operate', pause)).out).toContain('2 of 2 done')
    expect((await node.client.audit({ address: 'order/o0' }))[0]?.author).toBe('operateer')
    expect((await at('read', ['list'])).out).toContain('by operateer')
  } finally {
    await door.close()
  }
})

const tokenOf = (role: string) => `${role}-0123456789abcdef`
