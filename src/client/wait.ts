/** Waiting between two questions. Decides: that whoever gives up does not wait to the end. */
import type { Clock } from '../ports/index.ts'

export interface Waiting {
  clock: Clock
  signal: AbortSignal
}

/** Resolves after `delayMs`, or as soon as the signal is aborted. */
export async function wait({ clock, signal }: Waiting, delayMs: number): Promise<void> {
  if (signal.aborted) return
  await new Promise<void>((resolve) => {
    const done = () => {
      cancel()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(delayMs, done)
    signal.addEventListener('abort', done, { once: true })
  })
}
