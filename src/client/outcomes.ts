/**
 * What became of a request, as an outcome for each of its commands. Decides: what callers are told of what a
 * transport says.
 */
import type { TransportOutcome } from '../ports/index.ts'
import { type ErrorRecord, errorRecord, type Outcome, toErrorRecord } from '../protocol/index.ts'

export const NOBODY = errorRecord('unavailable', 'no node serves this shard now')
export const MOVED = errorRecord('moved', 'the shard is on its way to another node')
export const NO_ANSWER = errorRecord(
  'no-answer',
  'no answer came in time; it may or may not have been applied: send it again with the same id, or look',
)
export const MISSING: Outcome = { error: errorRecord('internal', 'an answer is missing') }

const TOO_LARGE = {
  request: (bytesMax: number) =>
    `the request is larger than the ${bytesMax} bytes that can be sent`,
  reply: (bytesMax: number) =>
    `the answer is larger than the ${bytesMax} bytes that can be sent; what was asked for is done: ask for less of it`,
}

/** The one that serves it lets go of the shard: none of its commands is taken before another has it. */
export function isMoved(outcome: Outcome): boolean {
  return 'error' in outcome && outcome.error.code === 'moved'
}

/** What a transport says, as one outcome per command. */
export function outcomesOf(
  outcome: TransportOutcome,
  count: number,
  read: (bytes: Uint8Array) => Outcome[],
): Outcome[] {
  const all = (error: ErrorRecord): Outcome[] => new Array<Outcome>(count).fill({ error })
  switch (outcome.kind) {
    case 'no-responders':
      return all(NOBODY)
    case 'timeout':
      return all(NO_ANSWER)
    case 'too-large':
      return all(errorRecord('too-large', TOO_LARGE[outcome.what](outcome.bytesMax)))
    case 'reply':
      try {
        return read(outcome.payload)
      } catch (thrown) {
        return all(toErrorRecord(thrown))
      }
  }
}
