/**
 * A signal that follows another one, for as long as somebody wants it. Decides: that the link is taken back.
 * `AbortSignal.any` leaves that to the garbage collector, and costs three times as much (measured: 25-37 µs
 * against 10).
 */

/** Aborts `controller` when `signal` is aborted; what is returned ends that. */
export function follow(signal: AbortSignal, controller: AbortController): () => void {
  const abort = () => controller.abort(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  return () => signal.removeEventListener('abort', abort)
}
