/**
 * The one place where tests wait for time to pass. Decides: that a wait has a condition, a deadline
 * and a diagnosis. A bare sleep is either too short on a slow machine or too long on all others.
 */

export interface UntilOptions {
  timeoutMs: number
  /** How often the condition is looked at; default 10 ms. */
  every?: number
}

/** What is waited for, or a function that also says what was seen instead, called at the deadline. */
export type Description = string | (() => string | Promise<string>)

/**
 * Waits until `condition` returns something truthy and returns it. A condition that throws counts
 * as not yet true; its last error becomes part of the diagnosis.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  { timeoutMs, every = 10 }: UntilOptions,
  describe: Description,
): Promise<NonNullable<T>> {
  const startedAt = performance.now()
  let lastError: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value
      lastError = undefined
    } catch (error) {
      lastError = error
    }
    if (performance.now() - startedAt >= timeoutMs) break
    await nap(every)
  }
  const because = lastError === undefined ? '' : `; the condition throws: ${String(lastError)}`
  throw new Error(`waited ${timeoutMs} ms in vain for: ${await inWords(describe)}${because}`, {
    cause: lastError,
  })
}

/** Proves that `condition` holds all through `forMs`: for what must not happen, or not yet. */
export async function holds(
  condition: () => boolean | Promise<boolean>,
  { forMs, every = 10 }: { forMs: number; every?: number },
  describe: Description,
): Promise<void> {
  const startedAt = performance.now()
  for (;;) {
    const heldMs = Math.round(performance.now() - startedAt)
    if (!(await condition())) {
      throw new Error(`held for ${heldMs} ms of ${forMs} ms only: ${await inWords(describe)}`)
    }
    if (heldMs >= forMs) return
    await nap(every)
  }
}

async function inWords(describe: Description): Promise<string> {
  if (typeof describe === 'string') return describe
  try {
    return await describe()
  } catch (error) {
    return `(the description throws: ${String(error)})`
  }
}

function nap(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs))
}
