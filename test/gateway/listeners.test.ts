/** Further addresses: the routes of one app where its seed had them, and who is let in there. */
import { createHash } from 'node:crypto'
import { hostname } from 'node:os'
import { afterEach, describe, expect, it } from 'vitest'
import { createGateway } from '../../src/gateway/index.ts'
import { Networks } from '../../src/gateway/networks.ts'
import { type AppRoute, defineApp } from '../../src/node/index.ts'
import type { ListenerConfig, UserConfig } from '../../src/protocol/index.ts'
import { call, type Rig, startRig } from './rig.ts'

const TOKEN = 'a-0123456789abcdef'
const users: UserConfig[] = [
  { name: 'ann', role: 'admin', tokenSha256: createHash('sha256').update(TOKEN).digest('hex') },
]
const handle: AppRoute['handle'] = async ({ author }) => ({ body: { author } })
const who: AppRoute['handle'] = async ({ author, remoteAddress }) => ({
  body: { author, remoteAddress },
})
const seed = defineApp({
  name: 'seed',
  routes: () => [
    { method: 'GET', path: '/task/list', handle },
    { method: 'POST', path: '/task/add/', handle },
    { method: 'POST', path: '/task/keys', role: 'admin', handle },
    { method: 'POST', path: '/task/open', role: 'public', handle },
    { method: 'GET', path: '/task/who', handle: who },
  ],
})
const other = defineApp({
  name: 'other',
  routes: () => [{ method: 'GET', path: '/other', handle }],
})
const silent = defineApp({ name: 'silent' })

let rig: Rig | undefined
afterEach(async () => {
  await rig?.close()
  rig = undefined
})

async function serve(
  listener: Partial<ListenerConfig>,
  more: { users?: UserConfig[]; trustedProxies?: string[] } = {},
): Promise<string> {
  const listeners = [{ app: 'seed', port: 0, ...listener }]
  rig = await startRig({ apps: [seed, other, silent], gateway: { listeners, ...more } })
  const [found] = rig.gateway.listeners
  expect(found?.app).toBe('seed')
  // It listens everywhere, and is called here.
  return found?.url.replace(/0\.0\.0\.0|\[::\]/, '127.0.0.1') ?? ''
}
const authorized = { authorization: `Bearer ${TOKEN}` }

describe('a listener of an app', () => {
  it('serves its routes, with and without a slash at the end, and nothing else', async () => {
    const url = await serve({})
    expect((await call(url, 'GET', '/task/list')).body).toEqual({ author: 'operator@loopback' })
    for (const path of ['/task/list/', '/task/list']) {
      expect((await call(url, 'GET', path)).status).toBe(200)
    }
    for (const path of ['/task/add/', '/task/add']) {
      expect((await call(url, 'POST', path)).status).toBe(200)
    }
    for (const path of ['/other', '/troupe/v1/actors', '/metrics', '/rpc']) {
      const answer = await call(url, 'GET', path)
      expect(answer).toMatchObject({ status: 404, body: { error: { code: 'not-found' } } })
      expect(answer.text).not.toContain('/troupe/v1/"')
    }
    // They stand at the main address as well.
    expect((await rig?.call('GET', '/task/list'))?.status).toBe(200)
    const closing = rig?.gateway.close()
    await closing
    await expect(call(url, 'GET', '/task/list')).rejects.toThrow(/ECONNREFUSED/)
  })

  it('lets networks in without a token, to look and to do what everybody may', async () => {
    const url = await serve({ host: '0.0.0.0', anonymous: ['127.0.0.0/8', '10.0.0.0/8'] })
    const looked = await call(url, 'GET', '/task/list')
    expect(looked.body).toEqual({ author: 'anonymous@127.0.0.1' })
    expect((await call(url, 'POST', '/task/open')).status).toBe(200)
    const refused = await call(url, 'POST', '/task/add')
    expect(refused).toMatchObject({ status: 403, body: { error: { code: 'forbidden' } } })
    expect(refused.body.error.message).toMatch(/anonymous@127.0.0.1 has read.*anonymousRole/)
    const spoofed = await call(url, 'GET', '/task/list', { headers: { 'x-troupe-author': 'ann' } })
    expect(spoofed.body).toEqual({ author: 'anonymous@127.0.0.1' })
    // Old clients may have passwords of their own.
    const basic = { authorization: 'Basic YTpi' }
    expect((await call(url, 'GET', '/task/list', { headers: basic })).status).toBe(200)
  })

  it('lets them operate where it says so, and no more', async () => {
    const anonymous = ['127.0.0.0/8']
    const url = await serve({ host: '0.0.0.0', anonymous, anonymousRole: 'operate' })
    expect((await call(url, 'POST', '/task/add')).body).toEqual({ author: 'anonymous@127.0.0.1' })
    expect((await call(url, 'POST', '/task/keys')).status).toBe(403)
  })

  it('asks everybody else for a token', async () => {
    const url = await serve({ host: '0.0.0.0', anonymous: ['10.0.0.0/8'] }, { users })
    const refused = await call(url, 'GET', '/task/list')
    expect(refused).toMatchObject({ status: 401, body: { error: { code: 'unauthorized' } } })
    const answer = await call(url, 'POST', '/task/keys', { headers: authorized })
    expect(answer.body).toEqual({ author: 'ann' })
  })

  it('takes the token of a caller who needs none, and refuses a wrong one', async () => {
    const url = await serve({ anonymous: ['127.0.0.1'] }, { users })
    const own = await call(url, 'POST', '/task/keys', { headers: authorized })
    expect(own.body).toEqual({ author: 'ann' })
    const wrong = { authorization: 'Bearer wrong-0123456789abc' }
    expect((await call(url, 'GET', '/task/list', { headers: wrong })).status).toBe(401)
    expect((await call(url, 'GET', '/task/list')).status).toBe(200)
  })

  it('without users says that a token would not help', async () => {
    const url = await serve({ host: '0.0.0.0', anonymous: ['10.0.0.0/8'] })
    const refused = await call(url, 'GET', '/task/list', { headers: authorized })
    expect(refused.status).toBe(401)
    expect(refused.body.error.message).toMatch(/no users are configured/)
  })

  it('is no way in for web pages that have their own name point here', async () => {
    const names = ['Seed.example']
    const url = await serve({ host: '0.0.0.0', anonymous: ['127.0.0.0/8'], names }, { users })
    const ask = async (host: string, more = {}) =>
      (await call(url, 'GET', '/task/list', { headers: { host, ...more } })).status
    for (const host of ['10.1.2.3:8080', '[fd00::1]:80', 'localhost', hostname(), 'seed.example:1'])
      expect([host, await ask(host)]).toEqual([host, 200])
    expect(await ask('evil.example')).toBe(403)
    expect(await ask('evil.example', { authorization: 'Basic YTpi' })).toBe(403)
    // Whoever has a token is no page.
    expect(await ask('evil.example', authorized)).toBe(200)
    expect(await ask('seed.example', { origin: 'http://evil.example' })).toBe(403)
  })
})

describe('who stands behind a proxy', () => {
  const ask = async (url: string, forwarded: string | string[] | undefined, more = {}) => {
    const header = forwarded === undefined ? {} : { 'x-forwarded-for': forwarded as string }
    const answer = await call(url, 'GET', '/task/who', { headers: { ...header, ...more } })
    return answer.status === 200 ? (answer.body as object) : answer.status
  }
  const ten = (last: number) => ({
    author: `anonymous@10.0.0.${last}`,
    remoteAddress: `10.0.0.${last}`,
  })

  it('is asked of the header of proxies that are trusted, and of their part of it only', async () => {
    const trustedProxies = ['127.0.0.1', '192.0.2.0/24']
    const url = await serve({ host: '0.0.0.0', anonymous: ['10.0.0.0/8'] }, { trustedProxies })
    expect(await ask(url, '10.0.0.7')).toEqual(ten(7))
    // What stands before the nearest stranger, that stranger may have made up.
    expect(await ask(url, '10.0.0.7, 203.0.113.9')).toBe(401)
    expect(await ask(url, '203.0.113.9, 10.0.0.8')).toEqual(ten(8))
    expect(await ask(url, '10.0.0.9, 192.0.2.5')).toEqual(ten(9))
    for (const odd of ['10.0.0.7:1234', 'unknown', '10.0.0.7, x', '10.0.0', '']) {
      expect([odd, await ask(url, odd)]).toEqual([odd, 401])
    }
    expect(await ask(url, undefined)).toBe(401)
  })

  it('is nobody without such proxies: the header is ignored', async () => {
    const url = await serve({ host: '0.0.0.0', anonymous: ['10.0.0.0/8'] })
    expect(await ask(url, '10.0.0.7')).toBe(401)
    for (const name of ['x-real-ip', 'forwarded', 'true-client-ip', 'x-client-ip']) {
      expect(await ask(url, undefined, { [name]: 'for=10.0.0.7' })).toBe(401)
    }
    await rig?.close()
    const elsewhere = { trustedProxies: ['192.0.2.1'] }
    const other = await serve({ host: '0.0.0.0', anonymous: ['10.0.0.0/8'] }, elsewhere)
    expect(await ask(other, '10.0.0.7')).toBe(401)
  })

  it('does not become the operator of this machine, although the proxy runs on it', async () => {
    const url = await serve({}, { trustedProxies: ['127.0.0.1'] })
    const { url: main } = rig?.gateway ?? { url: '' }
    expect(await ask(url, '10.0.0.7')).toBe(401)
    expect(await ask(main, '10.0.0.7')).toBe(401)
    expect(await ask(main, '127.0.0.1')).toMatchObject({ author: 'operator@loopback' })
    expect(await ask(main, undefined)).toMatchObject({ author: 'operator@loopback' })
  })

  it('must be an address: networks of proxies that are none are refused', async () => {
    await expect(serve({}, { trustedProxies: ['proxy.example'] })).rejects.toThrow(
      /http\.trustedProxies\.0: "proxy.example" is not a network/,
    )
  })
})

describe('what cannot be listened on', () => {
  it.each<[ListenerConfig, RegExp]>([
    [
      { app: 'sed', port: 0 },
      /listeners\.0\.app: there is no app "sed" with routes; did you mean "seed"/,
    ],
    [{ app: 'silent', port: 0 }, /there is no app "silent" with routes/],
    [
      { app: 'seed', host: '0.0.0.0', port: 0 },
      /listeners\.0\.host: will not listen on "0\.0\.0\.0"/,
    ],
    [{ app: 'seed', host: '0.0.0.0', port: 0, anonymous: [] }, /will not listen on/],
    [{ app: 'seed', port: 0, anonymous: ['10.0.0.0/33'] }, /listeners\.0\.anonymous\.0: "10/],
    [
      { app: 'seed', host: '192.0.2.1', port: 0, anonymous: ['::/0'] },
      /listeners\.0: cannot listen on/,
    ],
  ])('%j', async (listener, message) => {
    rig = await startRig({ apps: [seed, silent] })
    const opened = createGateway({ node: rig.node, port: 0, listeners: [listener] })
    await expect(opened).rejects.toThrow(message)
  })

  it('leaves nothing open', async () => {
    rig = await startRig({ apps: [seed] })
    const first = await createGateway({ node: rig.node, port: 0 })
    const { port } = first
    await first.close()
    const listeners = [{ app: 'seed', port: rig.gateway.port }]
    await expect(createGateway({ node: rig.node, port, listeners })).rejects.toThrow(
      /another program listens there/,
    )
    await expect(call(`http://127.0.0.1:${port}`, 'GET', '/health')).rejects.toThrow(/ECONNREFUSED/)
  })
})

it.each([
  [['10.0.0.0/8'], '10.255.0.1', true],
  [['10.0.0.0/8'], '11.0.0.1', false],
  [['10.0.0.0/8'], '::ffff:10.0.0.1', true],
  [['10.0.0.0/8'], '::ffff:11.0.0.1', false],
  [['192.0.2.7'], '192.0.2.7', true],
  [['192.0.2.7'], '192.0.2.8', false],
  [['fd00::/8'], 'fd12::1', true],
  [['fe80::/10'], 'fe80::1%eth0', true],
  [['fd00::1'], 'fd00::2', false],
  [['0.0.0.0/0'], '8.8.8.8', true],
  [['0.0.0.0/0'], '2001:db8::1', false],
  [['0.0.0.0/0', '::/0'], '', false],
  [[], '127.0.0.1', false],
])('networks %j hold %s: %s', (networks, address, isIn) => {
  expect(new Networks(networks, 'x').has(address)).toBe(isIn)
})

it.each(['10.0.0.0/33', '10.0.0/8', 'fd00::/129', '10.0.0.0/8/8', '10.0.0.0/', 'example.org', ''])(
  '%j is no network',
  (network) => {
    expect(() => new Networks([network], 'x')).toThrow(/x\.0: .* is not a network/)
  },
)
