/** What a bulk keeps to: its rate, a stop, a pause, who asked, whom it leaves alone, how much it remembers. */
import { beforeEach, expect, it } from 'vitest'
import type { BulkContext } from '../../../machines/platform/bulk.ts'
import { type BulkOperation, isMeantRow } from '../../../machines/platform/bulk-operation.ts'
import { detailLines } from '../../../machines/platform/bulk-text.ts'
import type { ActorRow } from '../../../src/protocol/index.ts'
import { failure } from '../../shard/support.ts'
import { BulkRig } from './bulk-rig.ts'

let rig: BulkRig

beforeEach(() => {
  rig = new BulkRig()
})

async function orders(count: number, input: object = {}, from = 0): Promise<string[]> {
  const addresses = Array.from({ length: count }, (_, n) => `order/o${from + n}`)
  const { h } = rig
  await h.run(Promise.all(addresses.map((address) => h.client.start(address, input))))
  return addresses
}

/** When each was asked, in order. */
async function timesOf(addresses: readonly string[], cause: string): Promise<number[]> {
  const { h } = rig
  const turns = await h.run(Promise.all(addresses.map((address) => h.client.history(address))))
  return turns
    .flat()
    .filter((turn) => turn.cause === cause)
    .map(({ at }) => at)
    .sort((a, b) => a - b)
}

const COUNT = { op: 'send', event: { type: 'COUNT' } }
const filter = { machine: 'order', state: 'open' }

it('keeps to its rate, page after page', async () => {
  const all = await orders(100)
  await rig.begin({ operation: COUNT, filter, perSecond: 5 })
  expect(await rig.settled()).toMatchObject({ done: 100, total: { count: 100, isLeast: false } })
  const times = await timesOf(all, 'COUNT')
  expect(times).toHaveLength(100)
  for (const [index, at] of times.entries()) {
    const next = times[index + 5]
    if (next !== undefined) expect(next - at).toBeGreaterThanOrEqual(990)
  }
  expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeLessThan(25_000)
})

it('stopped, it ends behind the page under way, with a receipt', async () => {
  const all = await orders(100)
  await rig.begin({ operation: COUNT, filter, perSecond: 2 })
  await rig.h.advance(3_000)
  const view = await rig.h.run(rig.bulks.stop('b', 'eve'))
  expect(view).toMatchObject({ status: 'running', isStopping: true })
  expect(await rig.settled()).toMatchObject({ status: 'stopped', done: 20, failed: 0 })
  expect(await timesOf(all, 'COUNT')).toHaveLength(20)
  expect(await rig.h.run(rig.bulks.list())).toMatchObject([
    { id: 'b', status: 'stopped', done: 20 },
  ])
  const refused = await failure(rig.h, rig.bulks.stop('b', 'eve'))
  expect(refused.code).toBe('finished')
  const receipt = (await rig.h.run(rig.h.client.get('bulk/b'))).output
  expect(receipt).toMatchObject({ end: 'stopped', author: 'ann', done: 20 })
})

it('paused, it ends its page and begins no other until it is resumed', async () => {
  const all = await orders(60)
  await rig.begin({ operation: COUNT, filter, perSecond: 2 })
  await rig.h.advance(3_000)
  await rig.h.run(rig.h.client.pause('bulk/b'))
  await rig.h.advance(60_000)
  expect(await timesOf(all, 'COUNT')).toHaveLength(20)
  expect(await rig.h.run(rig.bulks.view('b'))).toMatchObject({ status: 'paused' })
  await rig.h.run(rig.h.client.resume('bulk/b'))
  expect(await rig.settled()).toMatchObject({ status: 'completed', done: 60 })
})

it('acts in the name of whoever started it, whatever its input says', async () => {
  const [address = ''] = await orders(1)
  const { h } = rig
  const input = { operation: { op: 'pause' }, filter }
  const forged = { ...input, author: 'root' }
  expect(await failure(h, h.client.as('eve').start('bulk/x', forged))).toMatchObject({
    code: 'invalid-input',
  })
  await h.run(h.client.as('eve').start('bulk/b', input))
  expect(await rig.settled()).toMatchObject({ author: 'eve', done: 1 })
  const [row] = await h.run(h.client.audit({ address }))
  expect(row).toMatchObject({ author: 'eve', operation: 'pause' })
  expect(row?.commandId).toMatch(/^\d+-bulk\/b$/)
})

it('leaves actors alone that only admins may change, also when it is started past its routes', async () => {
  const { h } = rig
  await h.run(h.client.start('vault/v'))
  await rig.begin({ operation: { op: 'cancel' }, filter: { machine: 'vault' } })
  const { status, problem } = await rig.settled()
  expect(status).toBe('parked')
  expect(problem).toContain('an admin changes them one by one')
  expect((await h.run(h.client.get('vault/v'))).status).toBe('active')
})

it('whoever has left the state since it was found is left alone', async () => {
  await orders(10)
  await rig.begin({ operation: { op: 'cancel' }, filter, perSecond: 1 })
  await rig.h.advance(1_500)
  await rig.h.run(rig.h.client.send('order/o9', { type: 'PAY', amount: 1 }))
  await rig.h.run(rig.h.client.send('order/o8', { type: 'PAY', amount: 1 }))
  const { done, skipped, troubles } = await rig.settled()
  expect({ done, skipped }).toEqual({ done: 8, skipped: 2 })
  expect(troubles).toContainEqual({
    address: 'order/o9',
    code: 'conflict',
    message: 'order/o9 is not as the command wants it: active, in paid',
  })
  expect((await rig.h.run(rig.h.client.get('order/o9'))).status).toBe('active')
})

it('one that refuses does not keep it from the others; a hundred of them are named', async () => {
  await orders(30)
  await orders(150, { customer: 'broken' }, 30)
  const operation = { op: 'send', event: { type: 'CHECK' } }
  await rig.begin({ operation, filter: { machine: 'order' }, perSecond: 8 })
  const end = await rig.settled()
  expect(end).toMatchObject({
    status: 'completed',
    done: 30,
    failed: 150,
    reasons: { parked: 150 },
  })
  expect(end.troubles).toHaveLength(100)
  expect(end.troubles[0]?.message).toContain('nobody can check this one')
  // The log has them all.
  expect(rig.lines).toHaveLength(150)
})

it('what an event carries is asked, and shown to nobody', async () => {
  await orders(2)
  const operation = { op: 'send', event: { type: 'PAY', amount: 4711 } }
  await rig.begin({ operation, filter })
  const view = await rig.settled()
  expect(view).toMatchObject({ done: 2, operation: { op: 'send', event: { type: 'PAY' } } })
  expect(JSON.stringify(view)).not.toContain('4711')
})

it('does not pause itself among others', async () => {
  await orders(3)
  await rig.begin({ operation: COUNT, filter, perSecond: 1 }, 'slow')
  await rig.begin({ operation: { op: 'pause' }, filter: { machine: 'bulk' } }, 'brake')
  expect(await rig.settled('brake')).toMatchObject({ status: 'completed', done: 1 })
  expect(await rig.h.run(rig.bulks.view('slow'))).toMatchObject({ status: 'paused' })
})

it('a page is bounded in bytes, and so is what it carries', async () => {
  const { h } = rig
  const long = Array.from({ length: 400 }, (_, n) => `order/${String(n).padStart(250, 'x')}`)
  await h.run(Promise.all(long.map((address) => h.client.start(address))))
  await rig.begin({ operation: COUNT, filter, perSecond: 1_000 })
  await h.advance(50)
  const { page } = (await h.run(h.client.get('bulk/b'))).context as BulkContext
  const bytes = page?.addresses.join('').length ?? 0
  expect(bytes).toBeGreaterThan(60_000)
  expect(bytes).toBeLessThan(80_000)
  expect(await rig.settled()).toMatchObject({ status: 'completed', done: 400 })
  const event = { type: 'PAY', amount: 1, note: 'x'.repeat(65_536) }
  const refused = h.client.start('bulk/c', { operation: { op: 'send', event }, filter })
  expect(await failure(h, refused)).toMatchObject({
    code: 'invalid-input',
    message: expect.stringContaining('at most 65536 bytes'),
  })
})

it.each<[op: string, condition: string, isMeant: boolean]>([
  ['pause', 'active', true],
  ['pause', 'parked', true],
  ['pause', 'paused', false],
  ['pause', 'parked, paused', false],
  ['pause', 'done', false],
  ['resume', 'active', false],
  ['resume', 'paused', true],
  ['resume', 'parked', true],
  ['resume', 'stopped', false],
  ['resume at', 'stopped', true],
  ['retry', 'active', true],
  ['retry', 'done', false],
  ['send', 'paused', true],
  ['send', 'done', false],
  ['cancel', 'parked', true],
  ['cancel', 'stopped', false],
])('%s can mean one that is %s: %s', (what, condition, isMeant) => {
  const op = what.replace(' at', '')
  const state = what === 'resume at' ? { state: 'open' } : {}
  const operation = { op, ...state, event: { type: 'COUNT' } } as unknown as BulkOperation
  const isFinal = condition === 'done' || condition === 'stopped'
  const row = {
    status: isFinal ? condition : 'active',
    paused: condition.includes('paused'),
    parked: condition.includes('parked'),
  } as ActorRow
  expect(isMeantRow(operation, row)).toBe(isMeant)
})

it('what a machine throws cannot steer the terminal of whoever reads it', async () => {
  await orders(1)
  await rig.begin({ operation: COUNT, filter })
  const ended = await rig.settled()
  const message = 'gone\u001b[2J\nbulk/b  completed'
  const troubles = [{ address: 'order/o0', code: 'parked', message }]
  const lines = detailLines({ ...ended, troubles, problem: 'a\u202eb' })
  expect(lines).toContain('  parked: a b')
  expect(lines).toContain('  order/o0  parked: gone [2J bulk/b  completed')
})
