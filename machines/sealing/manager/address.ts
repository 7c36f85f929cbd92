/**
 * Where a sector manager is, as configurations say it: a url, or a multiaddr such as
 * `/ip4/127.0.0.1/tcp/1789`. Decides: which url that is. Pure.
 */
import { TroupeError } from '../../../src/index.ts'

/** Where managers of the Venus family serve; a url with a path of its own is taken as it is. */
const RPC_PATH = '/rpc/v0'
const HOSTS = ['ip4', 'ip6', 'dns', 'dns4', 'dns6']
const PORT_MAX = 65_535

/** @throws TroupeError `malformed` */
export function managerUrl(address: string): URL {
  const url = address.startsWith('/') ? urlOfMultiaddr(address) : parsed(address)
  if (url === null || !['http:', 'https:'].includes(url.protocol)) {
    throw new TroupeError(
      'malformed',
      `"${withoutSecrets(address)}" is no address of a sector manager: write http://host:1789 or /ip4/127.0.0.1/tcp/1789`,
    )
  }
  if (url.username !== '' || url.password !== '') {
    throw new TroupeError(
      'malformed',
      `the address of the sector manager ${url.host} holds a password: write it as a header (rpc_client.headers)`,
    )
  }
  if (url.pathname === '/') url.pathname = RPC_PATH
  return url
}

function urlOfMultiaddr(address: string): URL | null {
  const [, kind = '', host = '', transport, port = '', ...rest] = address.split('/')
  const scheme = rest.length === 0 ? 'http' : rest.join('/')
  const isKnown = HOSTS.includes(kind) && transport === 'tcp' && host !== ''
  const isPort = /^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) <= PORT_MAX
  if (!isKnown || !isPort || !['http', 'https'].includes(scheme)) return null
  return parsed(`${scheme}://${kind === 'ip6' ? `[${host}]` : host}:${port}`)
}

function parsed(text: string): URL | null {
  return URL.canParse(text) ? new URL(text) : null
}

/** What is wrong may hold a password. */
function withoutSecrets(address: string): string {
  return address.replace(/\/\/[^@/]*@/, '//***@').slice(0, 100)
}
