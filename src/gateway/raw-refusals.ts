/**
 * Answers to what never became a request: written on the socket, which is then closed. Decides: their
 * statuses and words.
 */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { type ErrorRecord, errorRecord, toJson } from '../protocol/index.ts'
import type { GatewayLimits } from './limits.ts'

/** Whatever else the client sends is not read. */
export function refuseOnSocket(socket: Socket, status: number, error: ErrorRecord): void {
  const body = toJson({ error })
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
  socket.destroySoon()
}

/** Headers that are late, too large, or not HTTP at all. */
export function unreadableRefusal(limits: GatewayLimits) {
  return (cause: NodeJS.ErrnoException, socket: Socket): void => {
    if (cause.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return
    switch (cause.code) {
      case 'HPE_HEADER_OVERFLOW': {
        const why = `the headers are larger than ${limits.headerBytesMax} bytes (headerBytesMax)`
        return refuseOnSocket(socket, 431, errorRecord('too-large', why))
      }
      case 'ERR_HTTP_REQUEST_TIMEOUT': {
        const why = `no whole request came within ${limits.headersMs} ms (headersMs)`
        return refuseOnSocket(socket, 408, errorRecord('deadline', why))
      }
      default:
        return refuseOnSocket(socket, 400, errorRecord('malformed', 'this is not an HTTP request'))
    }
  }
}
