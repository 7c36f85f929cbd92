/** Tokens and certificates that are exchanged while the node runs, and TLS itself. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Certificate } from '../../src/gateway/certificates.ts'
import { Credentials } from '../../src/gateway/credentials.ts'
import type { GatewayOptions } from '../../src/gateway/index.ts'
import { Users } from '../../src/gateway/users.ts'
import { type AppRoute, defineApp, openLog } from '../../src/node/index.ts'
import type { UserConfig } from '../../src/protocol/index.ts'
import { holds, until } from '../waiting.ts'
import { makeAuthority, makeCertificate } from './certificate-files.ts'
import { EventSource } from './event-source.ts'
import { call, type Rig, startRig } from './rig.ts'

const FIRST = 'first-0123456789abcdef'
const SECOND = 'second-0123456789abcdef'
const PATH = '/troupe/v1/count'
const SOON = { timeoutMs: 10_000 }

const handle: AppRoute['handle'] = async () => ({ body: 'x' })
/** Says one thing and then nothing, until it is told to end. */
const follow: AppRoute['handle'] = async ({ signal }) => {
  const body = new Readable({ read: () => {} })
  body.push('first')
  signal.addEventListener('abort', () => body.destroy())
  return { body }
}
let release: ((said: string) => void) | undefined
const slow: AppRoute['handle'] = async ({ signal }) => {
  const body = await new Promise<string>((resolve) => {
    release = resolve
    signal.addEventListener('abort', () => resolve('told to end'))
  })
  return { body }
}
const seed = defineApp({
  name: 'seed',
  routes: () => [
    { method: 'GET', path: '/task/list', handle },
    { method: 'GET', path: '/task/follow', handle: follow },
    { method: 'GET', path: '/task/feed', role: 'operate', handle: follow },
    { method: 'GET', path: '/task/open', role: 'public', handle: follow },
    { method: 'GET', path: '/task/slow', handle: slow },
  ],
})

/** Resolves with the answer once its first bytes are there. */
function streamOf(url: string, headers: Record<string, string>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = plainRequest(url, { headers, agent: false }, (incoming) => {
      incoming.on('error', () => {}).once('data', () => resolve(incoming))
    })
    outgoing.on('error', reject).end()
  })
}

let directory: string
let rig: Rig | undefined
let lines: { level: string; msg: string; [field: string]: unknown }[]
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'troupe-credentials-'))
  lines = []
})
afterEach(async () => {
  await rig?.close()
  rig = undefined
  await rm(directory, { recursive: true, force: true })
})

async function serve(options: Omit<GatewayOptions, 'node'>): Promise<Rig> {
  const write = (line: string) => void lines.push(JSON.parse(line))
  const log = openLog({ level: 'info', destination: { write } })
  const limits = { credentialsMs: 20, ...options.limits }
  rig = await startRig({ apps: [seed], gateway: { log, ...options, limits } })
  return rig
}
const told = (level: string) => lines.filter((line) => line.level === level).map(({ msg }) => msg)
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const statusOf = async (token: string) => (await rig?.call('GET', PATH, bearer(token)))?.status
async function tokenFile(token: string): Promise<string> {
  const path = join(directory, 'token')
  await writeFile(path, `${token}\n`)
  return path
}

describe('a token file that changes', () => {
  const ann = async (): Promise<UserConfig> => ({
    name: 'ann',
    role: 'read',
    tokenFile: await tokenFile(FIRST),
  })

  it('counts at once, and is told', async () => {
    await serve({ users: [await ann()] })
    expect(await statusOf(FIRST)).toBe(200)
    await tokenFile(SECOND)
    await until(async () => (await statusOf(SECOND)) === 200, SOON, 'the new token to count')
    expect(await statusOf(FIRST)).toBe(401)
    expect(lines).toContainEqual(expect.objectContaining({ level: 'info', users: ['ann'] }))
    expect(JSON.stringify(lines)).not.toContain('0123456789abcdef')
  })

  it('keeps the token before when it holds none, and says so once', async () => {
    await serve({ users: [await ann()] })
    await tokenFile('short')
    await until(() => told('error').length > 0, SOON, 'the error')
    await holds(() => told('error').length === 1, { forMs: 200 }, 'one line only')
    expect(lines.at(-1)).toMatchObject({
      setting: 'http.users',
      msg: 'cannot be read again; what was read before stays',
      why: expect.stringMatching(/http\.users\.0\.tokenFile: .*a token is one line/),
    })
    expect(await statusOf(FIRST)).toBe(200)
    await rm(join(directory, 'token'))
    await until(() => told('error').length === 2, SOON, 'the other error')
    expect(await statusOf(FIRST)).toBe(200)
    await tokenFile(SECOND)
    await until(async () => (await statusOf(SECOND)) === 200, SOON, 'the new token to count')
    await rm(join(directory, 'token'))
    await until(() => told('error').length === 3, SOON, 'the same error again')
  })

  it('ends the streams of whom it no longer lets in, and no others', async () => {
    const bea: UserConfig = { name: 'bea', role: 'read', tokenFile: join(directory, 'bea') }
    await writeFile(join(directory, 'bea'), 'bea-0123456789abcdef')
    const { gateway } = await serve({ users: [await ann(), bea] })
    const anns = new EventSource(gateway.url, '/watch', bearer(FIRST).headers)
    const beas = new EventSource(gateway.url, '/watch', bearer('bea-0123456789abcdef').headers)
    await Promise.all([anns.until(1), beas.until(1)])
    await tokenFile(SECOND)
    await anns.untilEnd()
    await holds(() => !beas.isEnded, { forMs: 200 }, 'the other to go on')
    beas.close()
  })

  it('ends what an app streams to whom the route is closed now', async () => {
    const users = [{ ...(await ann()), role: 'operate' as const }]
    await writeFile(join(directory, 'bea'), 'bea-0123456789abcdef')
    const { gateway } = await serve({ users, limits: { credentialsMs: 3_600_000 } })
    const ask = (path: string) => streamOf(`${gateway.url}${path}`, bearer(FIRST).headers)
    const answered = rig?.call('GET', '/task/slow', bearer(FIRST))
    await until(() => release, SOON, 'the request under way')
    const [forReaders, forOperators, forAll] = await Promise.all(
      ['/task/follow', '/task/feed', '/task/open'].map(ask),
    )
    await gateway.reload([{ ...(await ann()), role: 'read' }])
    await until(() => forOperators?.destroyed, SOON, 'the stream to end')
    await holds(() => !forReaders?.destroyed && !forAll?.destroyed, { forMs: 200 }, 'the others')
    for (const stream of [forReaders, forAll]) stream?.destroy()
    // What was let in is answered.
    await gateway.reload([{ ...(await ann()), name: 'bea', tokenFile: join(directory, 'bea') }])
    release?.('done')
    expect((await answered)?.text).toBe('done')
  })
})

describe('reload', () => {
  const users: UserConfig[] = []
  const user = async (name: string, role: UserConfig['role'], token: string) => {
    const path = join(directory, name)
    await writeFile(path, token)
    return { name, role, tokenFile: path } satisfies UserConfig
  }

  it('takes other users from then on; a bad list changes nothing', async () => {
    const ann = await user('ann', 'read', FIRST)
    const { gateway } = await serve({ users: [ann], limits: { credentialsMs: 3_600_000 } })
    const bea = await user('bea', 'operate', SECOND)
    await gateway.reload([bea])
    expect([await statusOf(FIRST), await statusOf(SECOND)]).toEqual([401, 200])
    const wrong = { ...ann, tokenFile: join(directory, 'none') }
    await expect(gateway.reload([wrong])).rejects.toThrow(/0\.tokenFile: .*no such file/)
    expect([await statusOf(FIRST), await statusOf(SECOND)]).toEqual([401, 200])
    // The list that is looked at from now on is the good one.
    lines = []
    await gateway.reload([bea])
    expect(lines).toEqual([])
    await gateway.reload([{ ...bea, role: 'read' }])
    expect(lines).toMatchObject([{ users: ['bea'], msg: 'users or their tokens have changed' }])
    const start = { ...bearer(SECOND), body: { customer: 'ann' } }
    expect((await rig?.call('POST', '/troupe/v1/actors/order/x', start))?.status).toBe(403)
  })

  it('neither brings the first user nor takes the last', async () => {
    const { gateway } = await serve({ users })
    const ann = await user('ann', 'read', FIRST)
    await expect(gateway.reload([ann])).rejects.toThrow(/none at the start: .*a restart/)
    expect((await rig?.call('GET', PATH))?.status).toBe(200)
    await rig?.close()
    const other = await serve({ users: [ann] })
    await expect(other.gateway.reload([])).rejects.toThrow(/none are left: .*a restart/)
    expect((await rig?.call('GET', PATH))?.status).toBe(401)
  })
})

it('reads nothing any more once it is closed, also when it was reading then', async () => {
  let finish = () => {}
  let readings = 0
  const renew = () => {
    readings += 1
    return new Promise<boolean>((resolve) => {
      finish = () => resolve(false)
    })
  }
  const certificate = {
    place: 'x',
    facts: { subject: '', validTo: '' },
    renew,
  } as unknown as Certificate
  const credentials = new Credentials({
    ...{ users: new Users(), configured: [], certificates: [certificate], everyMs: 5 },
    ...{ log: openLog({ level: 'silent' }), changed: () => {} },
  })
  await until(() => readings === 1, SOON, 'it to read')
  credentials.close()
  finish()
  await holds(() => readings === 1, { forMs: 100 }, 'it to read no more')
})

describe('TLS', () => {
  let ca: string
  let tls: { certFile: string; keyFile: string }
  beforeEach(async () => {
    ca = await makeAuthority(directory)
    tls = await makeCertificate(directory, 'one')
  })

  async function ask(url: string, path: string, token?: string): Promise<number | undefined> {
    const headers = token === undefined ? {} : bearer(token).headers
    const options = { ca: await readFile(ca), headers, agent: false } as const
    return new Promise((resolve, reject) => {
      const outgoing = request(`${url}${path}`, options, (incoming) => {
        incoming.resume().on('end', () => resolve(incoming.statusCode))
      })
      outgoing.on('error', reject).end()
    })
  }

  async function shake(url: string, options: ConnectionOptions = {}): Promise<TLSSocket> {
    const { port } = new URL(url)
    const authority = await readFile(ca)
    return new Promise((resolve, reject) => {
      const where = { host: '127.0.0.1', port: Number(port), ca: authority, ...options }
      const socket = connect(where, () => resolve(socket)).on('error', reject)
    })
  }
  const nameAt = async (url: string) => {
    const socket = await shake(url)
    const { subject } = socket.getPeerCertificate()
    socket.destroy()
    return subject.CN
  }

  it('guards an address of its own, without a warning; tokens count as ever', async () => {
    const users = [{ name: 'ann', role: 'read' as const, tokenFile: await tokenFile(FIRST) }]
    const { gateway } = await serve({ users, tls, host: '0.0.0.0' })
    expect(gateway.url).toMatch(/^https:\/\/0\.0\.0\.0:/)
    const url = gateway.url.replace('0.0.0.0', '127.0.0.1')
    expect(await ask(url, PATH, FIRST)).toBe(200)
    expect(await ask(url, PATH)).toBe(401)
    expect(await ask(url, '/health')).toBe(200)
    expect(told('warn').filter((line) => /plain HTTP/.test(line))).toEqual([])
    expect(lines).toContainEqual(
      expect.objectContaining({ msg: 'the gateway listens', subject: 'CN=one' }),
    )
    // Who speaks plain HTTP there learns nothing, and is not kept waiting.
    await expect(call(url.replace('https', 'http'), 'GET', '/health')).rejects.toThrow()
  })

  it('speaks nothing that is older than 1.2', async () => {
    const { gateway } = await serve({ tls })
    await expect(
      shake(gateway.url, {
        maxVersion: 'TLSv1.1',
        minVersion: 'TLSv1',
        ciphers: 'ALL:@SECLEVEL=0',
      }),
    ).rejects.toThrow(/version|protocol/)
  })

  it('of a listener is its own', async () => {
    const { gateway } = await serve({ listeners: [{ app: 'seed', port: 0, tls }] })
    expect(gateway.url).toMatch(/^http:/)
    expect(await ask(gateway.listeners[0]?.url ?? '', '/task/list')).toBe(200)
  })

  it('shows a certificate that was exchanged to whoever connects from then on', async () => {
    const { gateway } = await serve({ tls })
    expect(await nameAt(gateway.url)).toBe('one')
    const open = await shake(gateway.url)
    await makeCertificate(directory, 'two')
    await until(async () => (await nameAt(gateway.url)) === 'two', SOON, 'the other certificate')
    expect(lines).toContainEqual(
      expect.objectContaining({ setting: 'http.tls', subject: 'CN=two', level: 'info' }),
    )
    const other = lines.filter(({ msg }) => msg === 'new connections see another certificate')
    // Two files are exchanged one by one, and a pair that does not fit is no other one.
    expect(other.length).toBe(1)
    expect(open.destroyed).toBe(false)
    open.destroy()
  })

  it('keeps the certificate before when the files hold none that can be used', async () => {
    const { gateway } = await serve({ tls })
    await writeFile(tls.certFile, 'nothing')
    await until(() => told('error').length === 1, SOON, 'the error')
    expect(lines.at(-1)?.['why']).toMatch(/http\.tls\.certFile: .* holds no certificate/)
    expect(await nameAt(gateway.url)).toBe('one')
  })

  it('is refused at the start with what is wrong', async () => {
    const open = (wrong: Partial<typeof tls>) => serve({ tls: { ...tls, ...wrong } })
    await expect(open({ certFile: join(directory, 'none') })).rejects.toThrow(
      /http\.tls\.certFile: .*none: there is no such file/,
    )
    await expect(open({ keyFile: tls.certFile })).rejects.toThrow(
      /http\.tls\.keyFile: .* is not the key of/,
    )
    await expect(open({ keyFile: join(directory, 'ca.key') })).rejects.toThrow(
      /http\.tls\.keyFile: .*is not the key of .*mismatch/,
    )
  })
})
