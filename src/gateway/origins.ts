/**
 * Keeps browsers out that were talked into asking. Decides: which requests a web page could have made.
 *
 * A page of another site cannot read our answers, but it can send; and with DNS rebinding its own
 * name can be made to point here. The first shows in `Origin`, the second in `Host`. The second gains
 * nothing where callers prove who they are by a token: a page has none to send.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { TroupeError } from '../protocol/index.ts'
import type { Admission } from './access.ts'

/** @throws TroupeError `forbidden` */
export function requireOwnOrigin(headers: IncomingHttpHeaders, admission: Admission): void {
  const { host, origin } = headers
  // HTTP/1.0 clients may leave it out; no browser does.
  if (host !== undefined && admission.trustsAddressOf(headers)) {
    const name = nameOf(host)
    if (!admission.knowsHost(name)) {
      throw new TroupeError(
        'forbidden',
        `the Host header names "${host.slice(0, 80)}", which is not this machine: use 127.0.0.1 or localhost (or configure names of a listener)`,
      )
    }
  }
  // A proxy in front may speak https and hand on the name that it was called by.
  const named = origin?.toLowerCase().replace(/^https:/, 'http:')
  if (named !== undefined && named !== `http://${(host ?? '').toLowerCase()}`) {
    throw new TroupeError(
      'forbidden',
      `requests of web pages from elsewhere are refused (Origin "${named.slice(0, 80)}")`,
    )
  }
}

/** A Host header without its port. */
function nameOf(host: string): string {
  return host.replace(/:\d+$/, '')
}
