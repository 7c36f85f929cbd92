/**
 * What the contract suites share. A suite knows its subject through a harness only, so that it can
 * run on virtual time, on real time, and on a real server alike.
 */

import { until as waitUntil } from '../waiting.ts'

/** How a suite lets time pass for its subject. */
export interface Passing {
  /** Lets this much of the subject's own time pass, and what is due happen. */
  elapse(ms: number): Promise<void>
}

/** Real time. */
export const realTime: Passing = {
  async elapse(ms) {
    const end = performance.now() + ms
    await waitUntil(
      () => performance.now() >= end,
      { timeoutMs: ms + 10_000, every: 1 },
      `${ms} ms`,
    )
  },
}

const STEP_MS = 5
const DEADLINE_MS = 10_000

/** Waits until the condition holds, in the subject's time. */
export async function until(
  time: Passing,
  condition: () => boolean,
  what = 'the condition',
): Promise<void> {
  for (let waitedMs = 0; !condition(); waitedMs += STEP_MS) {
    if (waitedMs > DEADLINE_MS) throw new Error(`${what} did not come true in ${DEADLINE_MS} ms`)
    await time.elapse(STEP_MS)
  }
}

/** Starts something that answers by callback; waits for the answer, and checks that it is late. */
export async function answer<T>(
  time: Passing,
  start: (done: (outcome: T) => void) => void,
): Promise<T> {
  const answers: T[] = []
  let returned = false
  start((outcome) => {
    if (!returned) throw new Error('the outcome came before the call returned')
    answers.push(outcome)
  })
  returned = true
  await until(time, () => answers.length > 0, 'an outcome')
  await time.elapse(STEP_MS)
  if (answers.length > 1) throw new Error(`${answers.length} outcomes instead of one`)
  return answers[0]!
}

/** One byte per character, so that a test can write `\x00` and `\xff`. */
export function bytes(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

export function text(value: Uint8Array | undefined): string | undefined {
  return value === undefined ? undefined : Buffer.from(value).toString('latin1')
}
