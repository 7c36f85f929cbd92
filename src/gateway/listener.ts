/**
 * One address that is listened on. Decides: what guards every request there, whatever it asks for, and
 * how the address is opened and closed.
 */
import type { ServerOptions } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyServerFactory, fastify } from 'fastify'
import type { Log } from '../ports/index.ts'
import { TroupeError } from '../protocol/index.ts'
import type { Admission } from './access.ts'
import type { Certificate } from './certificates.ts'
import { targetOf } from './exchange.ts'
import type { GatewayLimits } from './limits.ts'
import type { Networks } from './networks.ts'
import { OpenRequests } from './open-requests.ts'
import { requireOwnOrigin } from './origins.ts'
import { unreadableRefusal } from './raw-refusals.ts'
import { fail } from './replies.ts'
import { ServedRoutes } from './served.ts'
import { SlowBodies } from './slow-bodies.ts'

export interface ListenerOptions {
  /** What errors call it: `http`. */
  place: string
  host: string
  port: number
  admission: Admission
  /** What it proves itself by; without one it speaks plain HTTP. */
  certificate?: Certificate
  /** Of requests from there `X-Forwarded-For` says who asks. */
  proxies: Networks
  limits: GatewayLimits
  /** Largest body of routes that say nothing else. */
  bodyBytesMax: number
  log: Log
  /** Given, so that who only asks a node does not wait until it is loaded. */
  framework: typeof fastify
}

export class Listener {
  readonly server: FastifyInstance
  readonly slow: SlowBodies
  readonly open = new OpenRequests()
  readonly #options: ListenerOptions
  #port: number
  #isClosing = false

  constructor(options: ListenerOptions) {
    const { limits, log, bodyBytesMax, admission, certificate, proxies, framework } = options
    this.#options = options
    this.#port = options.port
    const slow = new SlowBodies(limits)
    const served = new ServedRoutes()
    const server = framework({
      logger: false,
      bodyLimit: bodyBytesMax,
      exposeHeadRoutes: false,
      return503OnClosing: false,
      forceCloseConnections: 'idle',
      keepAliveTimeout: limits.idleMs,
      ...(certificate
        ? { serverFactory: tlsServers(certificate, limits) }
        : { http: httpOptionsOf(limits) }),
      // The nearest address that is no proxy's: what stands before it anybody could have written.
      trustProxy: (address) => proxies.has(address),
      // Whatever fits the headers is judged by us, not by the router.
      routerOptions: { ignoreTrailingSlash: true, maxParamLength: limits.headerBytesMax },
      frameworkErrors: (error, request, reply) => {
        slow.watch(request.raw, reply.raw)
        return fail(error, request, reply, log)
      },
      clientErrorHandler: unreadableRefusal(limits),
    })
    server.setErrorHandler((thrown, request, reply) => fail(thrown, request, reply, log))
    server.setNotFoundHandler((request, reply) =>
      fail(served.refusalOf(request.method, targetOf(request).path), request, reply, log),
    )
    server.addHook('onRequest', async (request, reply) => {
      slow.watch(request.raw, reply.raw)
      // What a command wrote may look like a page; as one it would be a page of this machine.
      reply.header('x-content-type-options', 'nosniff')
      requireOwnOrigin(request.headers, admission)
      if (this.#isClosing) throw new TroupeError('unavailable', 'the node is stopping')
    })
    server.addHook('onResponse', async (request, { statusCode, elapsedTime }) => {
      // Without the query: some clients put their tokens there.
      const { path } = targetOf(request)
      const ms = Math.round(elapsedTime)
      const { method, ip: from } = request
      log.debug({ method, path, status: statusCode, ms, from }, 'a request')
    })
    served.follow(server)
    server.removeAllContentTypeParsers()
    // Whatever has no route has no body either.
    server.addContentTypeParser('*', (_request, stream, parsed) => {
      stream.resume()
      parsed(null)
    })
    this.server = server
    this.slow = slow
  }

  /** The one that was found, when any free one was asked for. */
  get port(): number {
    return this.#port
  }

  get url(): string {
    const { host, certificate } = this.#options
    return `${certificate ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${this.port}`
  }

  /** @throws TroupeError `invalid-config` naming the address that cannot be had */
  async listen(): Promise<void> {
    const { place, host, port } = this.#options
    try {
      await this.server.listen({ host, port })
      this.#port = (this.server.server.address() as AddressInfo).port
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException
      const why: Record<string, string> = {
        EADDRINUSE:
          'another program listens there: stop it, or choose another port (0 takes a free one)',
        EACCES: 'this user may not listen there: choose a port above 1023',
        EADDRNOTAVAIL: 'this machine has no such address',
      }
      throw new TroupeError(
        'invalid-config',
        `${place}: cannot listen on ${host}:${port}: ${why[code ?? ''] ?? (cause as Error).message}`,
        { cause },
      )
    }
  }

  /** Takes nothing new, ends streams, and cuts what is left after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true
    this.open.abortStreams()
    const late = setTimeout(() => {
      this.open.abortAll()
      this.server.server.closeAllConnections()
    }, graceMs)
    try {
      await this.server.close()
    } finally {
      clearTimeout(late)
    }
  }
}

/** Node looks for late headers by itself, every so often. */
function httpOptionsOf({ headerBytesMax, headersMs }: GatewayLimits): ServerOptions {
  return {
    maxHeaderSize: headerBytesMax,
    headersTimeout: headersMs,
    requestTimeout: 0,
    connectionsCheckingInterval: Math.ceil(headersMs / 4),
  }
}

/** Whoever connects sees the certificate that is valid then. */
function tlsServers(certificate: Certificate, limits: GatewayLimits): FastifyServerFactory {
  return (handler) => {
    const server = createTlsServer(
      {
        ...httpOptionsOf(limits),
        ...certificate.options,
        keepAliveTimeout: limits.idleMs,
        handshakeTimeout: limits.headersMs,
      },
      handler,
    )
    certificate.onChange((options) => server.setSecureContext(options))
    return server
  }
}
