/**
 * Who may ask for what. Decides: the author and the role of a request, and where a gateway may listen.
 *
 * Without users the rule is the machine's own: whoever reaches the loopback interface is its operator.
 * That is why nothing else is listened on then, and why a browser must not be talked into asking
 * (origins.ts). With users every caller says who it is by a bearer token, on every address. A listener
 * for the clients of an old program may let whole networks in without one.
 *
 * Where a caller is, the socket says, or a proxy that is trusted (listener.ts). Who speaks through such
 * a proxy does not gain the proxy's place.
 */
import { isIP } from 'node:net'
import { hostname } from 'node:os'
import {
  ANONYMOUS_ROLE_DEFAULT,
  AUTHOR_LENGTH_MAX,
  type ListenerConfig,
  type Role,
  TroupeError,
} from '../protocol/index.ts'
import { Networks } from './networks.ts'
import { HttpRefusal } from './statuses.ts'
import type { Users } from './users.ts'

export interface Access {
  /** For the history and the audit trail. */
  author: string
  role: Role
}

/** What a request says of its sender. */
export interface Caller {
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** Its address. */
  ip: string
}

export interface AdmissionOptions {
  users: Users
  /** Where the listener listens. */
  host: string
  /** Callers from there need no token. */
  anonymous?: Networks
  /** What those may do. */
  anonymousRole?: ListenerConfig['anonymousRole']
  /** By these names those may call. */
  names?: readonly string[]
  /** Nobody reaches the server but this process, which says in `ROLE_HEADER` what the caller may do. */
  isInner?: boolean
}

/** Of requests that came over the transport: the role that their subject stands for. */
export const ROLE_HEADER = 'x-troupe-role'

const RANK: Readonly<Record<Role, number>> = { read: 0, operate: 1, admin: 2 }
const AUTHOR_DEFAULT = 'operator@loopback'
const AUTHOR_INNER_DEFAULT = 'transport'
/** The author of requests that an app answers for by itself. */
export const AUTHOR_UNKNOWN = 'anonymous'
const OWN_ADDRESSES = new Networks(['127.0.0.0/8', '::1'], 'loopback')
const CHALLENGE = 'Bearer realm="troupe"'

/** The door of one listener. */
export class Admission {
  readonly #users: Users
  readonly #anonymous: Networks | undefined
  readonly #anonymousRole: Role
  readonly #trustsMachine: boolean
  readonly #names: ReadonlySet<string>
  readonly #isInner: boolean
  readonly #admitted = new WeakMap<Caller, Access>()

  constructor(options: AdmissionOptions) {
    const { users, host, anonymous, anonymousRole = ANONYMOUS_ROLE_DEFAULT, names = [] } = options
    this.#users = users
    this.#anonymous = anonymous
    this.#anonymousRole = anonymousRole
    this.#isInner = options.isInner === true
    this.#trustsMachine = users.isEmpty && isOwnLoopback(host) && !this.#isInner
    // Nobody else can make a name server say that these are elsewhere.
    const own = anonymous?.isEmpty === false ? [host, hostname(), ...names] : []
    this.#names = new Set(own.map((name) => name.toLowerCase()))
  }

  /**
   * True where a caller may be let in for its address: a browser can be talked into calling from there.
   * A token that is looked at shows that it was not.
   */
  trustsAddressOf(headers: Caller['headers']): boolean {
    if (this.#trustsMachine) return true
    const isByToken = !this.#users.isEmpty && tokenOf(headers) !== undefined
    return this.#anonymous?.isEmpty === false && !isByToken
  }

  /** Whether a name in a Host header can only mean this machine. */
  knowsHost(name: string): boolean {
    if (isLoopback(name)) return true
    if (this.#names.size === 0) return false
    return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || this.#names.has(name.toLowerCase())
  }

  /** @throws TroupeError `unauthorized`; `malformed` for an author that cannot be shown in one line */
  accessOf(caller: Caller): Access {
    let access = this.#admitted.get(caller)
    if (!access) {
      access = this.#judge(caller)
      this.#admitted.set(caller, access)
    }
    return access
  }

  /** @throws TroupeError `unauthorized`, `forbidden` */
  require(caller: Caller, role: Role): Access {
    const access = this.accessOf(caller)
    requireRole(access, role)
    return access
  }

  /** As it would be judged now: users may have changed since the request came in. */
  wouldAdmit(caller: Caller, role: Role): boolean {
    try {
      requireRole(this.#judge(caller), role)
      return true
    } catch {
      return false
    }
  }

  #judge({ headers, ip }: Caller): Access {
    if (this.#isInner) {
      const role = headers[ROLE_HEADER] as Role
      return { author: namedAuthor(headers, AUTHOR_INNER_DEFAULT), role }
    }
    if (this.#trustsMachine && OWN_ADDRESSES.has(ip)) {
      return { author: namedAuthor(headers, AUTHOR_DEFAULT), role: 'admin' }
    }
    const token = tokenOf(headers)
    const user = token === undefined ? undefined : this.#users.find(token)
    if (user) return { author: user.name, role: user.role }
    const isWrong = token !== undefined && !this.#users.isEmpty
    if (!isWrong && this.#anonymous?.has(ip)) {
      return { author: `${AUTHOR_UNKNOWN}@${ip}`, role: this.#anonymousRole }
    }
    throw this.#refusal(headers['authorization'] !== undefined, isWrong)
  }

  #refusal(isGiven: boolean, isWrong: boolean): HttpRefusal {
    if (this.#users.isEmpty) {
      const why = 'your address needs a token here, and no users are configured'
      return unauthorized(`${why}: see http.users and listeners in the configuration`, CHALLENGE)
    }
    if (!isGiven) {
      const how = 'send the header "Authorization: Bearer TOKEN"'
      const troupe = 'troupe: --token, TROUPE_TOKEN or TROUPE_TOKEN_FILE'
      return unauthorized(`a token is missing: ${how} (${troupe})`, CHALLENGE)
    }
    const why = isWrong
      ? 'no user has this token; users and their tokens stand in the configuration of the node (http.users)'
      : 'the Authorization header is not "Bearer TOKEN"'
    return unauthorized(why, `${CHALLENGE}, error="invalid_token"`)
  }
}

function tokenOf(headers: Caller['headers']): string | undefined {
  return /^bearer +(\S+) *$/i.exec(String(headers['authorization'] ?? ''))?.[1]
}

function unauthorized(why: string, challenge: string): HttpRefusal {
  return new HttpRefusal(401, 'unauthorized', why, { 'www-authenticate': challenge })
}

/** Who has no users to tell apart takes a caller's word for its name. */
function namedAuthor(headers: Caller['headers'], unnamed: string): string {
  const named = headers['x-troupe-author']
  if (named === undefined || named === '') return unnamed
  // Node reads header bytes as latin1; people write UTF-8.
  const author = Buffer.from(String(named), 'latin1').toString('utf8').trim()
  if (author.length > AUTHOR_LENGTH_MAX || /[\p{C}]/u.test(author)) {
    throw new TroupeError(
      'malformed',
      `X-Troupe-Author is a name of at most ${AUTHOR_LENGTH_MAX} printable characters`,
    )
  }
  return author
}

/** @throws TroupeError `forbidden` */
export function requireRole(access: Access, role: Role): void {
  if (RANK[access.role] >= RANK[role]) return
  const { author } = access
  const isUnknown = author.startsWith(`${AUTHOR_UNKNOWN}@`)
  const todo = isUnknown
    ? 'Say who you are by a token, or have the listener give more (anonymousRole)'
    : 'Ask somebody who has it, or change the role in the configuration of the node (http.users)'
  throw new TroupeError(
    'forbidden',
    `this needs the role ${role}; ${author} has ${access.role}. ${todo}`,
    { detail: { role } },
  )
}

/** @throws TroupeError `invalid-config` for an address that others could reach without saying who they are */
export function requireSafeListener(
  place: string,
  { host, users, anonymous }: AdmissionOptions,
): void {
  if (!users.isEmpty || isOwnLoopback(host) || anonymous?.isEmpty === false) return
  throw new TroupeError(
    'invalid-config',
    `${place}.host: will not listen on "${host}": no users are configured, so anyone who reaches it could run commands as you. Configure http.users, or listen on 127.0.0.1 (or ::1, localhost) and reach it through a tunnel, such as ssh -L 9800:127.0.0.1:9800`,
  )
}

/** Other names below `localhost` are for the Host header: to listen, a name server could answer for them. */
export function isOwnLoopback(host: string): boolean {
  return isLoopback(host) && !host.toLowerCase().endsWith('.localhost')
}

/** True for names and numbers that never leave this machine. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  if (isIP(name) === 4) return name.startsWith('127.')
  // The URL parser knows the one short form of an IPv6 address.
  return isIP(name) === 6 && new URL(`http://[${name}]`).hostname === '[::1]'
}
