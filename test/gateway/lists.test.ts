/** Lists, counts and machines over HTTP, and whether the node is well. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { setup } from 'xstate'
import { createGateway } from '../../src/gateway/index.ts'
import { defineApp, defineMachine } from '../../src/index.ts'
import { type Rig, startRig } from './rig.ts'

interface Parcel {
  weight?: number
  colour?: string
}
/** One field is always named, the other only when it is there. */
const parcel = defineMachine({
  machine: setup({ types: { context: {} as Parcel, input: {} as Parcel } }).createMachine({
    id: 'parcel',
    context: ({ input }) => input,
  }),
  events: {},
  index: ({ weight, colour }) => ({ weight, ...(colour === undefined ? {} : { colour }) }),
})
const plain = defineMachine({ machine: setup({}).createMachine({ id: 'plain' }), events: {} })
const post = defineApp({ name: 'post', machines: [parcel, plain] })

let rig: Rig
beforeAll(async () => {
  rig = await startRig({ apps: [post] })
  for (let n = 0; n < 12; n++) {
    const path = await rig.start(`n${String(n).padStart(2, '0')}`, {
      customer: n % 2 ? 'odd' : 'even',
    })
    if (n < 6) await rig.call('POST', `${path}/send`, { body: { type: 'OPEN', amount: n } })
  }
})
afterAll(() => rig.close())

async function ids(query: string): Promise<string[]> {
  const { status, text, body } = await rig.call('GET', `/troupe/v1/actors?${query}`)
  expect(status, text).toBe(200)
  return body.rows.map((row: { address: string }) => row.address.replace('order/', ''))
}

it('filters', async () => {
  expect(await ids('machine=order&idPrefix=n1')).toEqual(['n10', 'n11'])
  expect((await ids('machine=order&state=open')).sort()).toEqual([
    'n00',
    'n01',
    'n02',
    'n03',
    'n04',
    'n05',
  ])
  expect(await ids('machine=order&where.customer=odd&idPrefix=n0')).toEqual([
    'n01',
    'n03',
    'n05',
    'n07',
    'n09',
  ])
  expect(await ids('machine=order&where.amount=4')).toEqual(['n04'])
  expect(await ids('machine=order&where.amount="4"')).toEqual([])
  expect(await ids('machine=order&condition=paused')).toEqual([])
  expect(await ids('machine=order&olderThan=1d')).toEqual([])
})

it.each([
  ['where.custmer=odd', /no order is indexed by "custmer"; did you mean "customer"\?/],
  ['where.customer=odd&sort=amout', /"amout".*fields are: amount, customer\)/],
  ['state=opn', /no state "opn"; did you mean "open"\? \(it has: draft, open/],
  ['where.card=4111', /"card" is a secret/],
  ['where.__proto__=1', /"where.__proto__" is not where.<field>/],
  ['sort=card', /"card" is a secret/],
])('refuses fields that no list can know: %s', async (query, says) => {
  const { status, body } = await rig.call('GET', `/troupe/v1/actors?machine=order&${query}`)
  const isState = query.startsWith('state')
  const expected = isState ? [422, 'unknown-state'] : [400, 'invalid-query']
  expect([status, body.error?.code]).toEqual(expected)
  expect(body.error.message).toMatch(says)
})

it('takes a field that only some actors have, or could have', async () => {
  const path = '/troupe/v1/actors?machine=parcel'
  expect((await rig.call('GET', `${path}&where.weight=1`)).body.rows).toEqual([])
  await rig.call('POST', '/troupe/v1/actors/parcel/1', { body: {} })
  // Nobody has it yet, but the index names it.
  expect((await rig.call('GET', `${path}&where.weight=1`)).body.rows).toEqual([])
  expect((await rig.call('GET', `${path}&where.colour=red`)).status).toBe(400)
  await rig.call('POST', '/troupe/v1/actors/parcel/2', { body: { colour: 'blue' } })
  expect((await rig.call('GET', `${path}&where.colour=red`)).body.rows).toEqual([])
  const plain = await rig.call('GET', '/troupe/v1/actors?machine=plain&sort=size')
  expect(plain.body.error.message).toContain('plain indexes no fields')
})

it('sorts', async () => {
  expect(await ids('machine=order&state=open&sort=amount&desc=true&limit=3')).toEqual([
    'n05',
    'n04',
    'n03',
  ])
})

it('pages to the end without a gap or a double', async () => {
  const seen: string[] = []
  let query = 'limit=5&machine=order'
  for (let page = 0; page < 10 && query; page++) {
    const { body } = await rig.call('GET', `/troupe/v1/actors?${query}`)
    seen.push(...body.rows.map((row: { address: string }) => row.address))
    query = body.cursor ? `limit=5&cursor=${body.cursor}` : ''
  }
  expect(seen).toEqual(Array.from({ length: 12 }, (_, n) => `order/n${String(n).padStart(2, '0')}`))
})

it('counts', async () => {
  const { body } = await rig.call('GET', '/troupe/v1/count?machine=order')
  expect(body.total).toBe(12)
  expect((await rig.call('GET', '/troupe/v1/count?machine=order&state=paid')).body.total).toBe(0)
  expect((await rig.call('GET', '/troupe/v1/count?machine=order&state=payed')).status).toBe(422)
  expect(body.rows).toContainEqual({
    machine: 'order',
    state: 'open',
    condition: 'active',
    count: 6,
  })
})

it('shows machines, their schemas and where an actor stands', async () => {
  const list = await rig.call('GET', '/troupe/v1/machines')
  expect(list.body.rows[0]).toMatchObject({ name: 'order', version: 1, app: 'shop' })
  const one = await rig.call('GET', '/troupe/v1/machines/order?actor=n00')
  expect(one.body.states).toEqual(['draft', 'open', 'charging', 'paid', 'closed'])
  expect(one.body.mermaid).toMatch(/class open current/)
  const open = one.body.events.find((event: { type: string }) => event.type === 'OPEN')
  expect(open.schema).toMatchObject({ properties: { amount: { type: 'number' } } })
})

it('says that it is up and ready', async () => {
  expect(await rig.call('GET', '/health')).toMatchObject({ status: 200, body: { status: 'up' } })
  expect(await rig.call('GET', '/ready/')).toMatchObject({
    status: 200,
    body: { ready: true, reasons: [] },
  })
  expect(await rig.call('GET', '/troupe/v1/shards')).toMatchObject({ status: 200 })
  expect(await rig.call('GET', '/troupe/v1/dead-letters')).toMatchObject({
    status: 200,
    body: { rows: [] },
  })
})

it('is not ready once the node has stopped, and says why', async () => {
  const own = await startRig()
  await own.node.stop()
  expect(await own.call('GET', '/health')).toMatchObject({ status: 200 })
  const ready = await own.call('GET', '/ready')
  expect(ready.status).toBe(503)
  expect(ready.body.reasons[0]).toContain('stopping')
  await own.close()
})

it('answers HEAD without a body', async () => {
  const head = await rig.call('HEAD', '/troupe/v1/machines')
  expect(head).toMatchObject({ status: 200, text: '' })
  expect(Number(head.headers['content-length'])).toBeGreaterThan(10)
})

it.each(['0.0.0.0', '::', '192.0.2.7', 'example.org', 'a.localhost'])(
  'does not listen on %s',
  async (host) => {
    const attempt = createGateway({ node: rig.node, host, port: 0 })
    await expect(attempt).rejects.toMatchObject({ code: 'invalid-config' })
  },
)

it('says who is in the way when the port is taken', async () => {
  const attempt = createGateway({ node: rig.node, port: rig.gateway.port })
  await expect(attempt).rejects.toThrow(/another program listens there/)
})
