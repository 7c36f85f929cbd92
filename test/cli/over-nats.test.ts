/** Verbs over NATS: what works over HTTP works there, and each user may do what config/nats says. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createGateway, type Gateway } from '../../src/gateway/index.ts'
import { defineApp, type TroupeNode } from '../../src/node/index.ts'
import { shop } from '../gateway/rig.ts'
import { missingNatsServer } from '../nats-server.ts'
import { NatsRig, startServerWithUsers, type User } from '../node/nats-rig.ts'
import { until } from '../waiting.ts'
import { type Ran, type RunInit, run } from './rig.ts'

const SOON = { timeoutMs: 20_000 }
const LARGE = 'x'.repeat(700_000)
let letThrough: () => void = () => {}
let between: () => Promise<void> = async () => {}
let aborted = 0

/** Routes of every kind, and a verb that asks for them. */
const desk = defineApp({
  name: 'desk',
  routes: () => [
    { method: 'GET', path: '/desk/large', handle: async () => ({ body: { LARGE } }) },
    { method: 'GET', path: '/desk/raw', handle: async () => ({ body: `${LARGE}\n${LARGE}` }) },
    {
      method: 'POST',
      path: '/desk/echo',
      handle: async ({ body, author }) => ({ body: { body, author } }),
    },
    { method: 'POST', path: '/desk/close', role: 'admin', handle: async () => ({ status: 204 }) },
    { method: 'POST', path: '/desk/sum', role: 'read', handle: async () => ({ body: 'sum' }) },
    { method: 'GET', path: '/desk/door', role: 'public', handle: async () => ({ body: 'open' }) },
    {
      method: 'GET',
      path: '/desk/slow',
      handle: ({ signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted += 1
          })
          letThrough = () => resolve({ body: Readable.from(['first ', 'second']) })
        }),
    },
  ],
  verbs: [
    {
      path: ['start-late'],
      summary: 'looks, and starts an order later',
      run: async ({ http, print }) => {
        await http({ method: 'GET', path: '/troupe/v1/machines' })
        await between()
        const path = '/troupe/v1/actors/order/late'
        const { status } = await http({ method: 'POST', path, body: { customer: 'ann' } })
        print(String(status))
      },
    },
    {
      path: ['ask'],
      summary: 'asks',
      arguments: '<method> <path> [body]',
      run: async ({ arguments: [method = 'GET', path = '', body], http, print }) => {
        const request = { method: method as 'GET', path }
        const answer = await http(
          body === undefined ? request : { ...request, body: JSON.parse(body) },
        )
        const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body)
        print(`${answer.status} ${text.length > 200 ? text.length : text}`)
      },
    },
  ],
})

describe.skipIf(missingNatsServer)('a verb over NATS', () => {
  let rig: NatsRig
  const served: { node: TroupeNode; gateway: Gateway }[] = []
  async function serve(name: string): Promise<void> {
    const node = await rig.start(name, [shop, desk])
    served.push({ node, gateway: await createGateway({ node, port: 0 }) })
  }
  beforeAll(async () => {
    rig = new NatsRig(await startServerWithUsers())
    await serve('n1')
  })
  afterAll(async () => {
    for (const { gateway } of served) await gateway.close({ graceMs: 0 })
    await rig?.close()
  })

  const environment = (user: User) => ({
    TROUPE_NATS: rig.server.url,
    TROUPE_CLUSTER: 'main',
    TROUPE_NATS_USER: user,
    TROUPE_NATS_PASSWORD: `of ${user}`,
  })
  const as = (user: User, argv: readonly string[], init: RunInit = {}): Promise<Ran> =>
    run(argv, { apps: [desk], ...init, env: { ...environment(user), ...init.env } })
  const ok = async (user: User, ...argv: string[]): Promise<string> => {
    const { code, out, err } = await as(user, argv)
    expect(code, err).toBe(0)
    return out
  }

  it('starts, sends, lists, pauses and shows, under the name of the user of NATS', async () => {
    await ok('operator', 'actors', 'start', 'order/1', '{"customer":"ann"}')
    expect(
      await ok('operator', 'actors', 'send', 'order/1', '{"type":"OPEN","amount":5}'),
    ).toContain('open')
    expect(await ok('reader', 'actors', 'list', '--machine', 'order')).toContain('order/1')
    await ok('operator', 'actors', 'pause', 'order/1', '--reason', 'lunch')
    const { out } = await as('reader', ['actors', 'history', 'order/1', '--json'])
    expect(JSON.parse(out)).toMatchObject([{ cause: 'pause', by: 'operator' }, {}, {}])
    await ok('operator', 'actors', 'resume', 'order/1')
    expect(await ok('reader', 'machines', 'show', 'order')).toContain('stateDiagram')
    expect(await ok('reader', 'cluster', 'leader')).toBe('n1\n')
    expect(await ok('reader', 'audit')).toContain('pause')
  })

  it.each([
    ['reader', ['actors', 'send', 'order/1', '{"type":"ASK"}'], 'troupe.main.api.operate.ask'],
    ['reader', ['actors', 'delete', 'order/1'], 'troupe.main.api.admin.ask'],
    ['reader', ['ask', 'POST', '/desk/echo', '{}'], 'troupe.main.api.operate.ask'],
    ['operator', ['actors', 'patch', 'order/1', '{"amount":1}'], 'troupe.main.api.admin.ask'],
    ['operator', ['ask', 'POST', '/desk/close'], 'troupe.main.api.admin.ask'],
  ] as const)('a %s may not %j', async (user, argv, subject) => {
    const before = await ok('reader', 'actors', 'get', 'order/1', '--json')
    const { code, err } = await as(user, argv)
    expect({ code, err }).toMatchObject({
      code: 1,
      err: expect.stringContaining(`the subject ${subject}`),
    })
    expect(await ok('reader', 'actors', 'get', 'order/1', '--json')).toBe(before)
  })

  it('a reader may ask for whatever only looks, by any method', async () => {
    expect(await ok('reader', 'ask', 'POST', '/desk/sum', '[1]')).toBe('200 sum\n')
  })

  it('an administrator may, and is asked for nothing more', async () => {
    await ok('admin', 'actors', 'start', 'order/2', '{"customer":"bob"}')
    await ok('admin', 'actors', 'patch', 'order/2', '{"amount":9}')
    expect(await ok('admin', 'ask', 'POST', '/desk/close')).toBe('204 \n')
    await ok('admin', 'actors', 'delete', 'order/2')
    expect((await as('admin', ['actors', 'get', 'order/2'])).code).toBe(4)
  })

  it('says what the node says, with the exit codes of HTTP', async () => {
    const missing = await as('reader', ['actors', 'get', 'order/none'])
    expect(missing).toMatchObject({ code: 4, err: expect.stringContaining('unknown-actor') })
    const bad = await as('operator', ['actors', 'send', 'order/1', '{"type":"OPEN","amount":"x"}'])
    expect(bad).toMatchObject({ code: 1, err: expect.stringContaining('amount') })
    expect((await as('reader', ['ask', 'GET', '/desk/none'])).code).toBe(4)
    // Whoever may call it anyway proves itself by what only HTTP carries.
    expect((await as('admin', ['ask', 'GET', '/desk/door'])).code).toBe(4)
  })

  it('has answers of any size, and bodies of apps', async () => {
    expect(await ok('reader', 'ask', 'GET', '/desk/large')).toBe(`200 ${LARGE.length + 12}\n`)
    expect(await ok('reader', 'ask', 'GET', '/desk/raw')).toBe(`200 ${2 * LARGE.length + 1}\n`)
    const echo = await ok('operator', 'ask', 'POST', '/desk/echo', '{"a":"ä"}')
    expect(echo).toBe('200 {"body":{"a":"ä"},"author":"operator"}\n')
    const large = JSON.stringify({ LARGE: LARGE + LARGE })
    expect(await as('operator', ['ask', 'POST', '/desk/echo', large])).toMatchObject({
      code: 1,
      err: expect.stringContaining('larger than the 1048576 bytes that NATS carries'),
    })
  })

  it('gives up when its time is over, and the node does, too', async () => {
    const { code, err } = await as('reader', ['ask', 'GET', '/desk/slow', '--timeout', '50ms'])
    expect({ code, err }).toMatchObject({ code: 6, err: expect.stringContaining('no-answer') })
    expect(aborted).toBe(1)
  })

  it('waits for an answer over a lost connection', async () => {
    const asking = ok('reader', 'ask', 'GET', '/desk/slow', '--timeout', '20s')
    letThrough = () => {}
    const before = letThrough
    await until(() => letThrough !== before, SOON, 'the request is under way')
    await rig.server.kill()
    await rig.server.start()
    const again = setInterval(() => letThrough(), 50)
    expect(await asking).toBe('200 first second\n')
    clearInterval(again)
  })

  it('sends a command again, under its id, when nobody knows what became of it', async () => {
    let isFrozen = false
    between = async () => {
      await rig.server.freeze()
      isFrozen = true
    }
    const starting = ok('operator', 'start-late', '--timeout', '20s')
    await until(() => isFrozen, SOON, 'the command is about to leave')
    await rig.server.kill()
    await rig.server.start()
    expect(await starting).toBe('201\n')
    expect(await ok('reader', 'actors', 'get', 'order/late', '--timeout', '20s')).toContain('draft')
  })

  it('watches, and goes on at another node, telling nothing twice', async () => {
    await ok('operator', 'actors', 'start', 'order/w', '{"customer":"ann"}')
    const interrupt = new AbortController()
    let out = ''
    const onOut = (all: string) => {
      out = all
    }
    const init = { interrupt: interrupt.signal, onOut }
    const watching = as('reader', ['actors', 'watch', 'order/w'], init)
    await until(() => out.includes('draft'), SOON, 'the state')
    // It has begun at the only node that there was.
    await serve('n2')
    const other = served[1]!.node
    const send = (event: object) =>
      other.client.send('order/w', event as { type: string }, { timeoutMs: 20_000 })
    await send({ type: 'OPEN', amount: 5 })
    await until(() => out.includes('turn 2'), SOON, 'the next turn')
    await served.shift()!.gateway.close({ graceMs: 0 })
    await send({ type: 'ASK' })
    await until(
      () => out.includes('turn 3'),
      SOON,
      () => `turn 3 in ${out}`,
    )
    interrupt.abort()
    expect((await watching).code).toBe(130)
    const turns = out
      .trimEnd()
      .split('\n')
      .map((line) => line.match(/turn (\d)/)?.[1])
    expect(turns).toEqual([undefined, '2', '3'])
  })

  it('says who is missing, at once', async () => {
    const { url } = rig.server
    const nobody = await as('reader', [
      'actors',
      'list',
      '--cluster',
      'other',
      '--timeout',
      '300ms',
    ])
    expect(nobody).toMatchObject({
      code: 3,
      err: expect.stringContaining(
        `no node of the cluster "other" answers at ${url}; start one with`,
      ),
    })
    const away = ['actors', 'list', '--nats', 'nats://127.0.0.1:1', '--timeout', '100ms']
    expect(await as('reader', away)).toMatchObject({
      code: 3,
      err: expect.stringContaining('127.0.0.1:1 cannot be reached'),
    })
    const wrong = await as('reader', ['actors', 'list'], { env: { TROUPE_NATS_PASSWORD: 'x' } })
    expect(wrong).toMatchObject({ code: 2, err: expect.stringContaining('does not know our user') })
    const inbox = { TROUPE_NATS_INBOX: '_INBOX' }
    expect(await as('reader', ['ask', 'POST', '/desk/sum'], { env: inbox })).toMatchObject({
      code: 1,
      err: expect.stringContaining('TROUPE_NATS_INBOX'),
    })
  })

  it('finds the password in a file', async () => {
    const file = join(rig.directory, 'password')
    writeFileSync(file, 'of reader\n')
    const env = { TROUPE_NATS_PASSWORD_FILE: file }
    const argv = [
      'actors',
      'list',
      '--nats',
      rig.server.url,
      '--cluster',
      'main',
      '--user',
      'reader',
    ]
    expect(await run(argv, { env })).toMatchObject({ code: 0 })
  })
})

describe('what does not fit together', () => {
  const at = 'nats://127.0.0.1:1'
  it.each([
    [['--nats', at, '--http', '9800'], {}, '--http and --nats'],
    [[], { TROUPE_HTTP: '9800', TROUPE_NATS: at }, 'say which way by --http or --nats'],
    [['--nats', at, '--token', 'abc'], {}, '--token'],
    [['--nats', at, '--user', 'ann', '--creds', 'f'], {}, 'one way to sign in'],
    [['--nats', at, '--user', 'ann'], {}, 'TROUPE_NATS_PASSWORD_FILE'],
    [['--nats', ','], {}, '--nats: name a server'],
    [['--nats', at, '--cluster', 'a.b'], {}, '--cluster: "a.b"'],
    [['--cluster', 'main'], {}, '--cluster: it belongs to --nats'],
    [['--nats', at, '--creds', '/none/such'], {}, '/none/such'],
    [['--nats', at], { TROUPE_NATS_CREDS: '/none/creds' }, '/none/creds'],
    [['--nats', at], { TROUPE_NATS_TOKEN_FILE: '/none/token' }, '/none/token'],
    [['--nats', at], { TROUPE_NATS_NKEY_FILE: '/none/nkey' }, '/none/nkey'],
  ])('%j %j', async (argv, env, why) => {
    expect(await run(['actors', 'list', ...argv], { env })).toMatchObject({
      code: 2,
      err: expect.stringContaining(why),
    })
  })

  it('--http wins over what the environment says of NATS', async () => {
    const argv = ['actors', 'list', '--http', 'http://127.0.0.1:1']
    const { code, err } = await run(argv, { env: { TROUPE_NATS: at } })
    expect({ code, err }).toMatchObject({ code: 3, err: expect.stringContaining('127.0.0.1:1') })
  })
})
