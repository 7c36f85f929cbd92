/**
 * One step at a time for each store. Decides: that a step which comes while another one still works there
 * stops it, and begins once it has ended. It happens when a worker lost its lease and got the task again.
 */
import { stepError } from '../thread/index.ts'
import { follow } from './following.ts'

export interface Turn {
  /** Aborted when another step wants the store, or the signal that it was taken with is. */
  readonly signal: AbortSignal
  end(): void
}

interface Running {
  stop: AbortController
  ended: Promise<void>
}

export class Turns {
  readonly #running = new Map<string, Running>()

  async take(key: string, signal: AbortSignal): Promise<Turn> {
    for (;;) {
      const running = this.#running.get(key)
      if (!running) break
      running.stop.abort(stepError('temporary', 'the step was begun anew'))
      await running.ended
    }
    const stop = new AbortController()
    let end = () => {}
    const ended = new Promise<void>((resolve) => {
      end = resolve
    })
    this.#running.set(key, { stop, ended })
    const unfollow = follow(signal, stop)
    return {
      signal: stop.signal,
      end: () => {
        unfollow()
        this.#running.delete(key)
        end()
      },
    }
  }
}
