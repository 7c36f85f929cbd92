/** A program that is no node, on a real nats-server, with the rights that config/nats gives programs. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FollowedEvent } from '../../src/client/index.ts'
import { createClient, type RemoteClient } from '../../src/node/index.ts'
import { formatCommandId } from '../../src/protocol/index.ts'
import { order, shop } from '../gateway/rig.ts'
import { missingNatsServer } from '../nats-server.ts'
import { until } from '../waiting.ts'
import { NatsRig, startServerWithUsers, type User } from './nats-rig.ts'

const SOON = { timeoutMs: 20_000 }

describe.skipIf(missingNatsServer)('a client over NATS', () => {
  let rig: NatsRig
  let client: RemoteClient
  const connect = (user: User, options: { timeoutMs?: number; cluster?: string } = {}) =>
    createClient({ nats: rig.as(user), cluster: 'main', author: 'ann', ...options })
  beforeAll(async () => {
    rig = new NatsRig(await startServerWithUsers())
    // Before there is any node.
    const connecting = connect('program')
    await rig.start('n1', [shop], { limits: { pageCountMax: 3 } })
    client = await connecting
  })
  afterEach(() => rig.server.thaw())
  afterAll(async () => {
    await client?.close()
    await rig?.close()
  })

  it('starts, sends, asks and reads, with the types of its machine and its own name', async () => {
    const one = client.actor(order, 'a')
    await one.start({ customer: 'ann' })
    expect((await one.send({ type: 'OPEN', amount: 5 })).value).toBe('open')
    expect(await one.ask({ type: 'ASK' })).toEqual({ amount: 5 })
    expect((await one.get()).context.customer).toBe('ann')
    expect(await client.history('order/a', { limit: 1 })).toMatchObject([{ by: 'ann' }])
    await expect(one.send({ type: 'OPEN', amount: 'x' as unknown as number })).rejects.toThrow(
      /amount/,
    )
  })

  it('reaches all shards at once, and lists, scans and counts over all of them', async () => {
    const ids = Array.from({ length: 40 }, (_, at) => `many-${at}`)
    await Promise.all(ids.map((id) => client.actor(order, id).start({ customer: 'eve' })))
    const filter = { machine: 'order', where: { customer: 'eve' } }
    const rows: string[] = []
    for await (const row of client.rows({ filter, limit: 3 })) rows.push(row.address)
    expect(rows.sort()).toEqual(ids.map((id) => `order/${id}`).sort())
    const counted = await client.count({ machine: 'order', state: 'draft' })
    expect(counted).toMatchObject([{ count: 40 }])
    expect((await client.scan({ filter, limit: 2 })).rows.length).toBeGreaterThan(0)
  })

  it('keeps to the limits that the nodes have', async () => {
    await expect(client.list({ filter: {}, limit: 4 })).rejects.toThrow(/from 1 to 3/)
  })

  it('applies what it tries again once', async () => {
    const id = formatCommandId(Date.now(), 'again')
    await client.start('order/once', { customer: 'ann' })
    const [first, second] = await Promise.all(
      [1, 2].map(() => client.send('order/once', { type: 'OPEN', amount: 1 }, { id })),
    )
    expect(second).toEqual(first)
    expect((await client.get('order/once')).turn).toBe(2)
  })

  it('goes on when the server was gone: calls wait for it, and no turn is missed', async () => {
    await client.start('order/f', { customer: 'ann' })
    const seen: FollowedEvent[] = []
    const stop = new AbortController()
    const following = (async () => {
      const events = client.follow('order/f', stop.signal, { lookMs: 200 })
      for await (const event of events) seen.push(event)
    })()
    await until(() => seen.length === 1, SOON, 'the state')
    await rig.server.kill()
    const sending = client.send('order/f', { type: 'OPEN', amount: 3 }, { timeoutMs: 20_000 })
    await rig.server.start()
    expect((await sending).value).toBe('open')
    await client.send('order/f', { type: 'CLOSE' })
    const turns = () => seen.map(({ kind, turn }) => `${kind} ${turn}`)
    await until(
      () => seen.length >= 3,
      SOON,
      () => `all turns, not ${turns().join()}`,
    )
    expect(turns()).toEqual(['state 1', 'transition 2', 'transition 3'])
    stop.abort()
    await following
  })

  it('tells who waits for nobody, within the time that was given', async () => {
    await expect(connect('program', { cluster: 'none', timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('no node of the cluster "none" answers at nats://'),
    })
    const nats = { servers: ['nats://127.0.0.1:1'] }
    await expect(createClient({ nats, timeoutMs: 100 })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('127.0.0.1:1 cannot be reached'),
    })
    await expect(connect('program', { cluster: 'a.b' })).rejects.toThrow(/cluster: "a.b"/)
  })

  it('says at once which right is missing', async () => {
    await expect(connect('reader')).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('may not use the subject troupe.main.facts'),
    })
    const { inboxPrefix, ...nats } = rig.as('program')
    expect(inboxPrefix).toBe('_INBOX_program')
    await expect(createClient({ nats, cluster: 'main' })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('may not hear answers below _INBOX'),
    })
  })

  it('that is closed ends its watches, tells calls how they stand, and leaves the others alone', async () => {
    const other = await connect('program')
    const seen = (async () => {
      for await (const _ of other.watch('all', new AbortController().signal));
      return 'ended'
    })()
    await rig.server.freeze()
    const call = other.get('order/a').catch(({ code }: { code: string }) => code)
    // Calls leave at the end of a turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    const closing = other.close()
    expect(await call).toBe('no-answer')
    rig.server.thaw()
    await closing
    expect(await seen).toBe('ended')
    await expect(other.get('order/a')).rejects.toMatchObject({ code: 'unavailable' })
    expect((await client.get('order/a')).address).toBe('order/a')
  })
})
