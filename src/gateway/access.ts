/**
 * Who may ask for what. Decides: the author and the role of a request.
 *
 * No users can be configured yet, so the rule is the machine's own: whoever reaches the loopback
 * interface is its operator. That is why a gateway refuses to listen anywhere else, and why a browser
 * must not be talked into asking (origins.ts).
 */
import { isIP } from 'node:net'
import { TroupeError } from '../protocol/index.ts'

export type Role = 'read' | 'operate' | 'admin'

export interface Access {
  /** For the history and the audit trail. */
  author: string
  role: Role
}

const RANK: Readonly<Record<Role, number>> = { read: 0, operate: 1, admin: 2 }
const AUTHOR_DEFAULT = 'operator@loopback'
/** The author of requests that an app answers for by itself. */
export const AUTHOR_UNKNOWN = 'anonymous'
const AUTHOR_LENGTH_MAX = 128

/** @throws TroupeError `malformed` for an author that cannot be shown in one line */
export function accessOf(headers: Readonly<Record<string, unknown>>): Access {
  const named = headers['x-troupe-author']
  if (named === undefined || named === '') return { author: AUTHOR_DEFAULT, role: 'admin' }
  // Node reads header bytes as latin1; people write UTF-8.
  const author = Buffer.from(String(named), 'latin1').toString('utf8').trim()
  if (author.length > AUTHOR_LENGTH_MAX || /[\p{C}]/u.test(author)) {
    throw new TroupeError(
      'malformed',
      `X-Troupe-Author is a name of at most ${AUTHOR_LENGTH_MAX} printable characters`,
    )
  }
  return { author, role: 'admin' }
}

/** @throws TroupeError `forbidden` */
export function requireRole(access: Access, role: Role): void {
  if (RANK[access.role] >= RANK[role]) return
  throw new TroupeError(
    'forbidden',
    `this needs the role ${role}; ${access.author} has ${access.role}`,
  )
}

/** @throws TroupeError `invalid-config` for an address that others could reach */
export function requireLoopback(host: string): void {
  // Other names below `localhost` are for the Host header: here a name server could answer for them.
  if (isLoopback(host) && !host.toLowerCase().endsWith('.localhost')) return
  throw new TroupeError(
    'invalid-config',
    `http.host: will not listen on "${host}": no users are configured, so anyone who reaches it could run commands as you. Listen on 127.0.0.1 (or ::1, localhost) and reach it through a tunnel, such as ssh -L 9800:127.0.0.1:9800`,
  )
}

/** True for names and numbers that never leave this machine. */
export function isLoopback(host: string): boolean {
  const name = host.replace(/^\[(.*)\]$/, '$1').toLowerCase()
  if (name === 'localhost' || name.endsWith('.localhost')) return true
  if (isIP(name) === 4) return name.startsWith('127.')
  // The URL parser knows the one short form of an IPv6 address.
  return isIP(name) === 6 && new URL(`http://[${name}]`).hostname === '[::1]'
}
