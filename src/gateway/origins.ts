/**
 * Keeps browsers out of a listener that trusts whoever reaches it. Decides: which requests a web
 * page could have made.
 *
 * A page of another site cannot read our answers, but it can send; and with DNS rebinding its own
 * name can be made to point here. The first shows in `Origin`, the second in `Host`.
 */
import { TroupeError } from '../protocol/index.ts'
import { isLoopback } from './access.ts'

/** @throws TroupeError `forbidden` */
export function requireOwnOrigin(headers: {
  host?: string | undefined
  origin?: string | undefined
}): void {
  const { host, origin } = headers
  // HTTP/1.0 clients may leave it out; no browser does.
  if (host !== undefined && !isLoopback(nameOf(host))) {
    throw new TroupeError(
      'forbidden',
      `the Host header names "${host.slice(0, 80)}", which is not this machine: use 127.0.0.1 or localhost`,
    )
  }
  if (origin !== undefined && origin.toLowerCase() !== `http://${(host ?? '').toLowerCase()}`) {
    throw new TroupeError(
      'forbidden',
      `requests of web pages from elsewhere are refused (Origin "${origin.slice(0, 80)}")`,
    )
  }
}

/** A Host header without its port. */
function nameOf(host: string): string {
  return host.replace(/:\d+$/, '')
}
