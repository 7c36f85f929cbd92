/** Where a blobnode listens, and where others find it. Pure. */
import { isIPv4, isIPv6 } from 'node:net'
import { TroupeError } from '../../../../src/index.ts'

export interface Place {
  host: string
  port: number
}

export const PLACE_DEFAULT: Place = { host: '127.0.0.1', port: 8_889 }

const PORT_MAX = 65_535
const HOST = /^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?$/

/** `10.0.0.7:8889`, `[::1]:8889`, a host alone. @throws TroupeError `malformed` */
export function parsePlace(text: string): Place {
  const [, bracketed, plain, digits] =
    /^(?:\[([0-9A-Fa-f:.]+)\]|([^[\]:]*))(?::(\d{1,5}))?$/.exec(text) ?? []
  const host = bracketed ?? plain ?? ''
  const port = digits === undefined ? PLACE_DEFAULT.port : Number(digits)
  if ((isIPv6(host) || HOST.test(host)) && port <= PORT_MAX) return { host, port }
  throw new TroupeError('malformed', `"${text.slice(0, 80)}" is not a place such as 10.0.0.7:8889`)
}

export function urlOf({ host, port }: Place): string {
  return `http://${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Only this machine can call it there. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** It stands for all addresses of a machine, and is none that others could call. */
export function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::'
}
