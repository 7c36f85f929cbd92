/**
 * Who may come in over HTTP, and where. Decides: the sections `http` and `listeners` of the
 * configuration. Leaves to others: reading files of tokens and certificates, and what an address may
 * be (gateway).
 */
import { z } from 'zod'

/** What a user may do, each with all that stands before it. */
export const ROLES = ['read', 'operate', 'admin'] as const
export type Role = (typeof ROLES)[number]

/** Somebody who may use the HTTP interface, known by a bearer token that is stored nowhere in plain. */
export interface UserConfig {
  /** Stands in histories and the audit trail. */
  name: string
  role: Role
  /** SHA-256 of the token, in hex. Either this or `tokenFile`. */
  tokenSha256?: string
  /** A file that holds the token; read again whenever it changes. */
  tokenFile?: string
}

/** What an address proves itself by, as PEM; read again whenever the files change. */
export interface TlsConfig {
  /** The certificate, and behind it those between it and its authority. */
  certFile: string
  keyFile: string
}

/** Where the node listens, and who is let in there. */
export interface HttpConfig {
  host?: string
  port?: number
  users?: UserConfig[]
  tls?: TlsConfig
  /** Networks of proxies: of their requests `X-Forwarded-For` says who asks. Of all others it is ignored. */
  trustedProxies?: string[]
}

/** What callers without a token may be given. */
export const ANONYMOUS_ROLES = ['read', 'operate'] as const satisfies readonly Role[]
export type AnonymousRole = (typeof ANONYMOUS_ROLES)[number]
/** To change something one has to say who one is. */
export const ANONYMOUS_ROLE_DEFAULT: AnonymousRole = 'read'

/** An address of its own for the routes of one app, as its seed had it. */
export interface ListenerConfig {
  /** The name of the app. */
  app: string
  /** Default 127.0.0.1. */
  host?: string
  port: number
  tls?: TlsConfig
  /** Networks whose addresses need no token. Default none. */
  anonymous?: string[]
  /** What those may do beside what the app lets everybody do. Default `read`. */
  anonymousRole?: AnonymousRole
  /** Names by which callers without a token may call this machine, beside its addresses. */
  names?: string[]
}

export const text = z.string({ error: 'a text' }).min(1, { error: 'a text that is not empty' })
const portWanted = { error: 'a port: a whole number from 0 (any free one) to 65535' }
const port = z.int(portWanted).min(0, portWanted).max(65_535, portWanted)

/** The longest name of an author that a history keeps. */
export const AUTHOR_LENGTH_MAX = 128
const userName = z.string({ error: 'a text' }).regex(/^[^\p{C}]{1,128}$/u, {
  error: `a name of at most ${AUTHOR_LENGTH_MAX} printable characters`,
})
const ROLE_WANTED = `one of: ${ROLES.join(', ')}`
export const userShape = {
  name: userName,
  role: z.enum(ROLES, { error: ROLE_WANTED }),
  tokenSha256: z
    .string({ error: 'a text' })
    .regex(/^[0-9a-f]{64}$/i, {
      error: 'the SHA-256 of the token, 64 hexadecimal digits (printf %s TOKEN | sha256sum)',
    })
    .optional(),
  tokenFile: text.optional(),
}
const user = z
  .strictObject(userShape, { error: 'a user: name, role, and tokenSha256 or tokenFile' })
  .superRefine(({ tokenSha256, tokenFile }, context) => {
    if ((tokenSha256 === undefined) !== (tokenFile === undefined)) return
    const message = 'exactly one of tokenSha256 and tokenFile'
    context.addIssue({ code: 'custom', path: ['tokenFile'], message })
  })

const users = z.array(user, { error: 'a list of users' }).superRefine((list, context) => {
  list.forEach(({ name: own }, index) => {
    if (list.findIndex((one) => one.name === own) === index) return
    const message = 'a name that no other user has'
    context.addIssue({ code: 'custom', path: [index, 'name'], message })
  })
})

const network = z.union([z.cidrv4(), z.cidrv6(), z.ipv4(), z.ipv6()], {
  error: 'a network such as 10.0.0.0/8 or fd00::/8, or an address',
})
const networks = z.array(network, { error: 'a list of networks' })

export const tlsShape = { certFile: text, keyFile: text }
const tls = z.strictObject(tlsShape, { error: 'certFile and keyFile' })

export const httpShape = { host: text, port, users, tls, trustedProxies: networks }

export const listenerShape = {
  app: text,
  host: text.optional(),
  port,
  tls: tls.optional(),
  anonymous: networks.optional(),
  anonymousRole: z
    .enum(ANONYMOUS_ROLES, { error: `one of: ${ANONYMOUS_ROLES.join(', ')}` })
    .optional(),
  names: z.array(text, { error: 'a list of names' }).optional(),
}
export const listeners = z.array(
  z.strictObject(listenerShape, {
    error: 'a listener: app, port, and host, tls, anonymous, anonymousRole, names',
  }),
  { error: 'a list of listeners' },
)
