/** Ways to sign in, on real servers where they can be had; and that no secret is ever told. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nkeys } from 'nats'
import { afterAll, describe, expect, it, onTestFinished } from 'vitest'
import type { NatsOptions } from '../../../src/adapters/nats/index.ts'
import { missingNatsServer, startNatsServer } from '../../nats-server.ts'
import { connectorTo, LineLog } from './connections.ts'

const folder = mkdtempSync(join(tmpdir(), 'troupe-nats-options-'))
afterAll(() => rmSync(folder, { recursive: true }))

function file(name: string, text: string): string {
  const path = join(folder, name)
  // As secrets are replaced: whole.
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
  return path
}

const SECRET = 'Hunter2-Swordfish'
const AWAY = ['127.0.0.1:1']

/** Opens and closes; what went wrong, with all that was logged. */
async function attempt(
  options: NatsOptions,
  servers = options.servers,
): Promise<{ error: Error | undefined; told: string }> {
  const log = new LineLog()
  try {
    const connection = await connectorTo(options, log).open({ reconnect: false, servers })
    await connection.close()
    return { error: undefined, told: JSON.stringify(log.lines) }
  } catch (thrown) {
    const error = thrown as Error
    return { error, told: `${error.message} ${error.stack} ${JSON.stringify(log.lines)}` }
  }
}

describe('options of a connection to NATS', () => {
  const seed = new TextDecoder().decode(nkeys.createUser().getSeed())
  it.each<[string, NatsOptions, string]>([
    ['no server', { servers: [] }, 'name at least one'],
    ['no address', { servers: ['::::'] }, 'not a URL'],
    ['another scheme', { servers: ['http://h:1'] }, 'http://h:1 is not an address'],
    ['a secret in an address', { servers: [`nats://u:${SECRET}@h:1`] }, 'beside the address'],
    ['a user alone', { servers: AWAY, user: 'u' }, 'belong together'],
    ['a password alone', { servers: AWAY, password: SECRET }, 'belong together'],
    ['two ways', { servers: AWAY, token: SECRET, user: 'u', password: 'p' }, 'one way to sign in'],
    ['a secret twice', { servers: AWAY, token: SECRET, tokenFile: 'f' }, 'not both'],
    ['no such file', { servers: AWAY, tokenFile: join(folder, 'none') }, 'ENOENT'],
    ['an empty file', { servers: AWAY, tokenFile: file('empty', '\n') }, 'is empty'],
    ['no nkey', { servers: AWAY, nkeyFile: file('no.nk', SECRET) }, 'does not hold'],
    ['no credentials', { servers: AWAY, credsFile: file('no.creds', seed) }, 'does not hold'],
    ['half a pair', { servers: AWAY, tls: { certFile: file('a.pem', 'x') } }, 'belong together'],
    ['no inbox', { servers: AWAY, inboxPrefix: 'troupe' }, 'nobody answers below troupe'],
    ['no authority', { servers: AWAY, tls: { caFile: join(folder, 'none') } }, 'ENOENT'],
  ])('refuses %s before it connects', async (_, options, why) => {
    const { error, told } = await attempt(options)
    expect(error).toMatchObject({ code: 'invalid-config' })
    expect(error?.message).toContain(why)
    expect(told).not.toContain(SECRET)
  })

  it('takes addresses with and without scheme and port, and credentials', async () => {
    const credsFile = file(
      'user.creds',
      `-----BEGIN NATS USER JWT-----\nabc\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`,
    )
    const servers = ['127.0.0.1:1', 'nats://127.0.0.1:1', 'nats://[::1]:1']
    const { error } = await attempt({ servers, credsFile })
    expect(error).toMatchObject({ code: 'unavailable' })
    expect(error?.message).toContain('127.0.0.1:1, 127.0.0.1:1, [::1]:1')
  })
})

describe.skipIf(missingNatsServer)('signing in', () => {
  it('takes a password, a new one in its file, and is refused without telling it', async () => {
    const config = `authorization { user: u, password: "${SECRET}" }`
    const server = await startNatsServer({ jetstream: false, config })
    onTestFinished(() => server.close())
    const at = { servers: [server.url], user: 'u' }
    expect((await attempt({ ...at, password: SECRET })).error).toBeUndefined()
    const passwordFile = file('password', 'wrong')
    const refused = await attempt({ ...at, passwordFile })
    expect(refused.error).toMatchObject({ code: 'invalid-config' })
    expect(refused.error?.message).toContain('does not know our user')
    file('password', `${SECRET}\n`)
    const taken = await attempt({ ...at, passwordFile })
    expect(taken.error).toBeUndefined()
    expect(taken.told).not.toContain(SECRET)
  })

  it('follows a file with a secret, and keeps the last one that could be used', async () => {
    const user = nkeys.createUser()
    const nkeyFile = file('user.nk', new TextDecoder().decode(user.getSeed()))
    const config = `authorization { users: [{ nkey: ${user.getPublicKey()} }] }`
    const server = await startNatsServer({ jetstream: false, config })
    onTestFinished(() => server.close())
    const connector = connectorTo({ servers: [server.url], nkeyFile, pingMs: 200 })
    const connection = await connector.open({ reconnect: true })
    onTestFinished(() => connection.close())
    const back = new Promise<void>((resolve) => connection.listen({ back: resolve }))
    file('user.nk', 'something else')
    await connection.nats.reconnect()
    await back
    expect(connection.isConnected).toBe(true)
  })

  it('takes a token', async () => {
    const server = await startNatsServer({
      jetstream: false,
      config: `authorization { token: "${SECRET}" }`,
    })
    onTestFinished(() => server.close())
    const tokenFile = file('token', SECRET)
    expect((await attempt({ servers: [server.url], tokenFile })).error).toBeUndefined()
    const { error, told } = await attempt({ servers: [server.url], token: `not ${SECRET}` })
    expect(error).toMatchObject({ code: 'invalid-config' })
    expect(told).not.toContain(SECRET)
  })

  async function startWithTls(names: string) {
    const { caFile, ...own } = certificates(names)
    const config = `tls { ca_file: "${caFile}", cert_file: "${own.certFile}", key_file: "${own.keyFile}", verify: true }`
    const server = await startNatsServer({ jetstream: false, config })
    onTestFinished(() => server.close())
    return { told: [`127.0.0.1:${server.port}`], caFile, own }
  }

  it('speaks TLS with certificates on both sides, to the right authority only', async () => {
    const { told, caFile, own } = await startWithTls('IP:127.0.0.1')
    const servers = [`tls://${told[0]}`]
    expect((await attempt({ servers, tls: { caFile, ...own } })).error).toBeUndefined()
    const stranger = await attempt({ servers, tls: own })
    expect(stranger.error).toMatchObject({ code: 'invalid-config' })
    expect(stranger.error?.message).toMatch(/certificate/)
  })

  it('wants a server to prove a name by which it was configured, whoever told its address', async () => {
    const { told, caFile, own } = await startWithTls('DNS:nats.invalid')
    const tls = { caFile, ...own }
    expect((await attempt({ servers: ['tls://nats.invalid:1'], tls }, told)).error).toBeUndefined()
    for (const other of ['localhost', 'nats.example', '127.0.0.1']) {
      const { error } = await attempt({ servers: [`tls://${other}:1`], tls }, told)
      expect(error).toMatchObject({ code: 'invalid-config' })
    }
  })

  it('never leaves TLS away at an address of which another server told', async () => {
    const server = await startNatsServer({ jetstream: false })
    onTestFinished(() => server.close())
    const connector = connectorTo({ servers: ['tls://localhost:1'] })
    const opening = connector.open({ reconnect: false, servers: [server.url] })
    await expect(opening).rejects.toThrow('one of us wants TLS')
  })

  it('says so when only one side has TLS', async () => {
    const server = await startNatsServer({ jetstream: false })
    onTestFinished(() => server.close())
    const { error } = await attempt({ servers: [`tls://127.0.0.1:${server.port}`] })
    expect(error).toMatchObject({ code: 'invalid-config' })
    expect(error?.message).toContain('one of us wants TLS')
  })
})

/** An authority, and a certificate that it signed for both sides. */
function certificates(names: string): { caFile: string; certFile: string; keyFile: string } {
  const path = (name: string) => join(folder, name)
  const openssl = (...args: string[]) => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
    if (status !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`)
  }
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...curve, '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=ca')
  const subject = ['-subj', '/CN=server', '-addext', `subjectAltName=${names}`]
  openssl('req', ...curve, '-keyout', 'own.key', '-out', 'own.csr', ...subject)
  const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-copy_extensions', 'copy', '-days', '2']
  openssl('x509', '-req', '-in', 'own.csr', '-out', 'own.crt', ...signed)
  return { caFile: path('ca.crt'), certFile: path('own.crt'), keyFile: path('own.key') }
}
