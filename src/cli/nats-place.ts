/**
 * The way of a verb to a cluster over NATS. Decides: what `--nats`, `--cluster`, `--creds` and `--user` mean,
 * which variables stand for them, and that a verb goes one way: over HTTP to a node, or over NATS to any.
 */
import { resolve } from 'node:path'
import type { NatsOptions } from '../node/index.ts'
import { DEFAULT_CONFIG, isNodeName } from '../protocol/light.ts'
import { UsageError } from './exit-codes.ts'
import type { Terminal } from './terminal.ts'

export interface WayFlags {
  http?: string
  token?: string
  ca?: string
  nats?: string
  cluster?: string
  creds?: string
  user?: string
}

export interface NatsPlace {
  nats: NatsOptions
  cluster: string
}

/** Flags that say something of NATS and nothing of HTTP. */
const OF_NATS = ['cluster', 'creds', 'user'] as const

/** Undefined where a verb goes over HTTP. @throws UsageError */
export function natsPlaceOf(flags: WayFlags, terminal: Terminal): NatsPlace | undefined {
  const { env } = terminal
  const servers = flags.nats ?? (flags.http === undefined ? named(env['TROUPE_NATS']) : undefined)
  if (servers === undefined) {
    const useless = OF_NATS.find((name) => flags[name] !== undefined)
    if (useless !== undefined) throw new UsageError(`--${useless}: it belongs to --nats`)
    return undefined
  }
  requireOneWay(flags, env)
  const cluster = flags.cluster ?? named(env['TROUPE_CLUSTER']) ?? DEFAULT_CONFIG.cluster
  if (!isNodeName(cluster)) {
    const wanted = 'a letter or digit and at most 63 letters, digits, "_" or "-"'
    throw new UsageError(`--cluster: "${cluster}" is not ${wanted}`)
  }
  const list = servers.split(',').filter((one) => one !== '')
  if (list.length === 0) throw new UsageError('--nats: name a server: nats://127.0.0.1:4222')
  return { cluster, nats: { servers: list, ...userOf(flags, terminal), ...tlsOf(flags, terminal) } }
}

function requireOneWay({ http, nats, token }: WayFlags, env: Terminal['env']): void {
  if (http !== undefined) throw new UsageError('--http and --nats: a verb goes one way')
  if (nats === undefined && named(env['TROUPE_HTTP']) !== undefined) {
    throw new UsageError('TROUPE_HTTP and TROUPE_NATS: say which way by --http or --nats')
  }
  if (token !== undefined) {
    throw new UsageError(
      '--token: NATS knows its users by --user or --creds, not by tokens of HTTP',
    )
  }
}

/** One way to sign in; a flag wins over what the environment says. */
function userOf(flags: WayFlags, { env, cwd }: Terminal): Partial<NatsOptions> {
  const inbox = named(env['TROUPE_NATS_INBOX'])
  const prefix = inbox === undefined ? {} : { inboxPrefix: inbox }
  const creds =
    flags.creds ?? (flags.user === undefined ? named(env['TROUPE_NATS_CREDS']) : undefined)
  const user = flags.user ?? (creds === undefined ? named(env['TROUPE_NATS_USER']) : undefined)
  if (creds !== undefined && user !== undefined) {
    throw new UsageError('--creds and --user: there is one way to sign in')
  }
  if (creds !== undefined) return { credsFile: resolve(cwd, creds), ...prefix }
  if (user === undefined) return { ...unnamedOf(env, cwd), ...prefix }
  const password = named(env['TROUPE_NATS_PASSWORD'])
  const file = named(env['TROUPE_NATS_PASSWORD_FILE'])
  if (password === undefined && file === undefined) {
    throw new UsageError(
      `--user ${user}: the password is missing: TROUPE_NATS_PASSWORD_FILE (a file that holds it) or TROUPE_NATS_PASSWORD`,
    )
  }
  const secret = file === undefined ? { password: password! } : { passwordFile: resolve(cwd, file) }
  // As config/nats has it: answers to one user cannot be heard by another.
  return { user, ...secret, inboxPrefix: `_INBOX_${user}`, ...prefix }
}

/** Whoever signs in by what only the environment names. */
function unnamedOf(env: Terminal['env'], cwd: string): Partial<NatsOptions> {
  const tokenFile = named(env['TROUPE_NATS_TOKEN_FILE'])
  const nkeyFile = named(env['TROUPE_NATS_NKEY_FILE'])
  return {
    ...(tokenFile !== undefined && { tokenFile: resolve(cwd, tokenFile) }),
    ...(nkeyFile !== undefined && { nkeyFile: resolve(cwd, nkeyFile) }),
  }
}

/** Whom `tls://` servers are signed by. */
function tlsOf({ ca }: WayFlags, { env, cwd }: Terminal): Pick<NatsOptions, 'tls'> {
  const file = ca ?? named(env['TROUPE_CA'])
  return file === undefined ? {} : { tls: { caFile: resolve(cwd, file) } }
}

function named(value: string | undefined): string | undefined {
  return value === '' ? undefined : value
}
