/**
 * Where NATS is and who we are there.
 *
 * Decides: what can be said about a connection to NATS, which combinations make sense, and that nothing
 * secret is in a message or a log. Files with secrets are read at every connect, so that they can be
 * replaced under a running node; while one cannot be read, what it held last is used.
 * Leaves to others: connecting (connection.ts).
 */
import { readFileSync } from 'node:fs'
import { checkServerIdentity, type PeerCertificate } from 'node:tls'
import {
  type Authenticator,
  type ConnectionOptions,
  credsAuthenticator,
  nkeyAuthenticator,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from 'nats'
import { messageOfThrown, TroupeError } from '../../protocol/index.ts'
import { isInbox } from './inboxes.ts'

export interface NatsOptions {
  /** Such as `nats://10.0.0.1:4222`, or `tls://…`. The servers tell of the others of their cluster. */
  servers: readonly string[]
  /** With `password` or `passwordFile`. */
  user?: string
  password?: string
  passwordFile?: string
  token?: string
  tokenFile?: string
  /** A file with the seed of an nkey. */
  nkeyFile?: string
  /** A file with a JWT and the seed of its nkey, as `nsc` writes it. */
  credsFile?: string
  tls?: NatsTlsOptions
  /**
   * Where answers come to; `_INBOX` when absent. Users who may not read each other's answers have a
   * prefix of their own, and the right to subscribe below it only.
   */
  inboxPrefix?: string
  /** How often the server is asked whether it still lives; after two questions it counts as gone. */
  pingMs?: number
}

export interface NatsTlsOptions {
  /** Who signed the server's certificate, in PEM; the system's authorities when absent. */
  caFile?: string
  /** Our own certificate, where the server asks for one. */
  certFile?: string
  keyFile?: string
  /** The server expects TLS before it says anything. */
  handshakeFirst?: boolean
}

/** What the client library is told, of all that depends on the options. */
export type NatsAccess = Pick<ConnectionOptions, 'authenticator' | 'tls'> & { servers: string[] }

/** What the client library hands through to Node. */
interface TlsChecks {
  checkServerIdentity: (name: string, certificate: PeerCertificate) => Error | undefined
}

/**
 * @param only these servers, of which others told, instead of those of the options
 * @throws TroupeError `invalid-config`
 */
export function accessOf(options: NatsOptions, only?: readonly string[]): NatsAccess {
  const { inboxPrefix } = options
  if (inboxPrefix !== undefined && !isInbox(`${inboxPrefix}.`)) {
    throw bad(
      `inboxPrefix: nobody answers below ${inboxPrefix}: name another, such as _INBOX_reader`,
    )
  }
  const configured = options.servers.map(serverOf)
  if (configured.length === 0)
    throw bad('servers: name at least one, such as nats://127.0.0.1:4222')
  const servers = only?.map(serverOf) ?? configured
  const access: NatsAccess = { servers: servers.map(({ address }) => address) }
  const authenticator = authenticatorOf(options)
  if (authenticator !== undefined) access.authenticator = authenticator
  const { tls } = options
  if (tls === undefined && !configured.some(({ isSecure }) => isSecure)) return access
  if ((tls?.certFile === undefined) !== (tls?.keyFile === undefined)) {
    throw bad('tls: certFile and keyFile belong together')
  }
  for (const file of [tls?.caFile, tls?.certFile, tls?.keyFile]) if (file) readText(file)
  const hosts = [...configured, ...servers].map(({ host }) => host.replace(/[[\]]/g, ''))
  const checks: TlsChecks = { checkServerIdentity: provesOneOf(hosts) }
  access.tls = { ...tls, ...checks }
  return access
}

/**
 * A server proves any of the names by which we know the servers: they tell each other's numbers, which
 * their certificates need not hold, and Node would compare a number with `localhost`.
 */
function provesOneOf(hosts: readonly string[]): TlsChecks['checkServerIdentity'] {
  return (_, certificate) => {
    const failures = hosts.map((host) => checkServerIdentity(host, certificate))
    return failures.includes(undefined) ? undefined : failures[0]
  }
}

/** Host and port, for messages: never what stands before them. */
function serverOf(text: string): { host: string; address: string; isSecure: boolean } {
  const withScheme = text.includes('://') ? text : `nats://${text}`
  if (!URL.canParse(withScheme)) throw bad('servers: one of them is not a URL')
  const url = new URL(withScheme)
  const shown = `${url.protocol}//${url.host}`
  if (url.username !== '' || url.password !== '') {
    throw bad(`servers: give user and password beside the address ${shown}, not in it`)
  }
  if (url.protocol !== 'nats:' && url.protocol !== 'tls:') {
    throw bad(`servers: ${shown} is not an address such as nats://127.0.0.1:4222`)
  }
  if (url.hostname === '') throw bad(`servers: ${shown} names no host`)
  const host = url.hostname
  return { host, address: `${host}:${url.port || '4222'}`, isSecure: url.protocol === 'tls:' }
}

function authenticatorOf(options: NatsOptions): Authenticator | undefined {
  const { user, nkeyFile, credsFile } = options
  const password = secret('password', options.password, options.passwordFile)
  const token = secret('token', options.token, options.tokenFile)
  if ((user === undefined) !== (password === undefined)) {
    throw bad('user and password (or passwordFile) belong together')
  }
  const ways = { 'user and password': user, token, nkeyFile, credsFile }
  const chosen = Object.entries(ways).flatMap(([way, value]) => (value === undefined ? [] : [way]))
  if (chosen.length > 1) throw bad(`there is one way to sign in, not ${chosen.join(' and ')}`)
  if (user !== undefined) {
    return following(password!, (text) => usernamePasswordAuthenticator(user, text))
  }
  if (token !== undefined) return following(token, (text) => tokenAuthenticator(text))
  if (nkeyFile !== undefined) {
    return following(inFile(nkeyFile), (text) => nkeyAuthenticator(bytesOf(text)))
  }
  if (credsFile === undefined) return undefined
  return following(inFile(credsFile), (text) => credsAuthenticator(bytesOf(`${text}\n`)))
}

/** Where a secret stands, and how it is read now. */
interface Secret {
  where: string
  read: () => string
}

function secret(
  name: string,
  value: string | undefined,
  file: string | undefined,
): Secret | undefined {
  if (value !== undefined && file !== undefined) throw bad(`${name} or ${name}File, not both`)
  if (value !== undefined) return { where: name, read: () => value }
  return file === undefined ? undefined : inFile(file)
}

function inFile(file: string): Secret {
  return { where: file, read: () => readText(file) }
}

/**
 * Signs in by what the file holds now, or by what it held last while it cannot be used: an authenticator
 * that throws would end the connection for good. What cannot be used at the start is told at once.
 */
function following({ where, read }: Secret, make: (text: string) => Authenticator): Authenticator {
  let usable = make(read())
  try {
    usable('nonce')
  } catch {
    throw bad(`${where} does not hold what it should`)
  }
  return (nonce) => {
    try {
      const fresh = make(read())
      const answer = fresh(nonce)
      usable = fresh
      return answer
    } catch {
      return usable(nonce)
    }
  }
}

function readText(file: string): string {
  let text: string
  try {
    text = readFileSync(file, 'utf8').trim()
  } catch (thrown) {
    throw bad(messageOfThrown(thrown))
  }
  if (text === '') throw bad(`${file} is empty`)
  return text
}

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function bad(why: string): TroupeError {
  return new TroupeError('invalid-config', `nats: ${why}`)
}
