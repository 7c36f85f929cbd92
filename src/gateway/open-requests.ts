/**
 * Requests that an app is answering. Decides: when the signal that an app is given says stop: the
 * client went away, its time is over, its token is withdrawn, or the gateway closes.
 */
import type { ServerResponse } from 'node:http'

export interface OpenRequest {
  readonly signal: AbortSignal
  /** An answer that may go on for as long as its client listens. */
  isStreaming: boolean
  /** Whether its caller may still have it; asked when users change. */
  isAllowed: () => boolean
  /** Nobody waits for it any more. */
  abort(): void
}

export class OpenRequests {
  readonly #open = new Set<OpenRequest>()

  begin(response: ServerResponse): OpenRequest {
    const controller = new AbortController()
    const entry: OpenRequest = {
      signal: controller.signal,
      isStreaming: false,
      isAllowed: () => true,
      abort: () => controller.abort(),
    }
    // Its `close` has been told already: the client went away while its body was read.
    if (response.destroyed) {
      controller.abort()
      return entry
    }
    this.#open.add(entry)
    response.once('close', () => {
      this.#open.delete(entry)
      if (!response.writableFinished) controller.abort()
    })
    return entry
  }

  /** Streams would keep a closing gateway open for as long as somebody listens. */
  abortStreams(): void {
    for (const entry of this.#open) if (entry.isStreaming) entry.abort()
  }

  /** Streams of callers who would not be let in any more: theirs could go on for days. */
  abortRevoked(): void {
    for (const entry of this.#open) if (entry.isStreaming && !entry.isAllowed()) entry.abort()
  }

  abortAll(): void {
    for (const entry of this.#open) entry.abort()
  }
}
