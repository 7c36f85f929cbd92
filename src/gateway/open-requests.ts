/**
 * Requests that an app is answering. Decides: when the signal that an app is given says stop: the
 * client went away, or the gateway closes.
 */
import type { ServerResponse } from 'node:http'

export interface OpenRequest {
  readonly signal: AbortSignal
  /** An answer that may go on for as long as its client listens. */
  isStreaming: boolean
}

export class OpenRequests {
  readonly #open = new Map<OpenRequest, AbortController>()

  begin(response: ServerResponse): OpenRequest {
    const controller = new AbortController()
    const entry: OpenRequest = { signal: controller.signal, isStreaming: false }
    // Its `close` has been told already: the client went away while its body was read.
    if (response.destroyed) {
      controller.abort()
      return entry
    }
    this.#open.set(entry, controller)
    response.once('close', () => {
      this.#open.delete(entry)
      if (!response.writableFinished) controller.abort()
    })
    return entry
  }

  /** Streams would keep a closing gateway open for as long as somebody listens. */
  abortStreams(): void {
    for (const [entry, controller] of this.#open) if (entry.isStreaming) controller.abort()
  }

  abortAll(): void {
    for (const controller of this.#open.values()) controller.abort()
  }
}
