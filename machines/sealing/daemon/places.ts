/** Hosts with ports, as people write them. Decides: the text form and which hosts are this machine. Pure. */
import { isIPv4, isIPv6 } from 'node:net'
import { TroupeError } from '../../../src/index.ts'

export interface Place {
  host: string
  port: number
}

const PORT_MAX = 65_535
const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$/

/** `10.0.0.7:9000`, `[::1]:9000`, a host alone. @throws TroupeError `malformed` */
export function parsePlace(text: string, portDefault: number): Place {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain ?? (isIPv6(text) ? text : '')
  const port = digits === undefined ? portDefault : Number(digits)
  if ((isIPv6(host) || HOST.test(host)) && port <= PORT_MAX) return { host, port }
  throw new TroupeError('malformed', `"${text.slice(0, 80)}" is not a host such as 10.0.0.7:9000`)
}

export function placeText({ host, port }: Place): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Where a server that listens on all addresses can be called from here. */
export function callable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}
