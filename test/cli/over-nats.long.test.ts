/** The verbs of the apps that ship, over NATS: jobs with their logs, bulks, workers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apps } from '../../machines/index.ts'
import { createGateway, type Gateway } from '../../src/gateway/index.ts'
import { shop } from '../gateway/rig.ts'
import { missingNatsServer } from '../nats-server.ts'
import { NatsRig, startServerWithUsers, type User } from '../node/nats-rig.ts'
import { type Ran, run } from './rig.ts'

describe.skipIf(missingNatsServer)('an app over NATS', () => {
  let rig: NatsRig
  let gateway: Gateway
  beforeAll(async () => {
    rig = new NatsRig(await startServerWithUsers())
    const node = await rig.start('n1', [...apps, shop])
    gateway = await createGateway({ node, port: 0 })
  })
  afterAll(async () => {
    await gateway?.close({ graceMs: 0 })
    await rig?.close()
  })

  function as(user: User, ...argv: string[]): Promise<Ran> {
    const env = { TROUPE_NATS: rig.server.url, TROUPE_NATS_PASSWORD: `of ${user}` }
    const [first = '', ...rest] = argv
    const way = ['--cluster', 'main', '--user', user]
    const at = rest.indexOf('--')
    const words = at < 0 ? [...rest, ...way] : [...rest.slice(0, at), ...way, ...rest.slice(at)]
    return run([first, ...words], { apps, env })
  }
  async function ok(user: User, ...argv: string[]): Promise<string> {
    const { code, out, err } = await as(user, ...argv)
    expect(code, err).toBe(0)
    return out
  }

  it('runs jobs, and shows what they write while they do', async () => {
    const script = 'echo begun; sleep 0.3; echo done'
    const id = (await ok('operator', 'jobs', 'submit', '--name', 'hello', '--', script)).trim()
    expect(await ok('reader', 'jobs', 'log', id, '--stdout', '--follow')).toBe('begun\ndone\n')
    expect(await ok('reader', 'jobs', 'list')).toContain('hello')
    expect(await ok('reader', 'workers', 'list')).toContain('n1')
    expect((await as('reader', 'jobs', 'submit', '--', 'true')).code).toBe(1)
  })

  it('works on many actors at once, for whom it may', async () => {
    await ok('operator', 'actors', 'start', 'order/1', '{"customer":"ann"}')
    const bulk = ['actors', 'bulk', 'pause', '--machine', 'order', '--yes', '--wait']
    expect((await as('reader', ...bulk)).code).toBe(1)
    await ok('operator', ...bulk)
    expect(await ok('reader', 'actors', 'list', '--condition', 'paused')).toContain('order/1')
  })
})
