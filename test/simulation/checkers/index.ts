/** All checkers by name; each is a predicate over the list of events and nothing else. */
import type { Checker, SimEvent, Violation } from '../events.ts'
import {
  acknowledgedIsThere,
  readsAreCommitted,
  readsAreFresh,
  refusalsAreTrue,
} from './acknowledged.ts'
import { appliedOnce, badInputChangesNothing } from './applied-once.ts'
import { everythingDrains, nothingBreaks, storesEqualJournals } from './at-the-end.ts'
import { commitBeforeEffect } from './commit-before-effect.ts'
import { nobodyServesTooEarly, publishedIsWhole } from './foundings.ts'
import {
  birthsAreNew,
  historyIsLinear,
  migratedOnce,
  nobodyDiesSilently,
  pausedStandsStill,
  resumeGoesOn,
} from './histories.ts'
import { listsAreTrue } from './lists.ts'
import { callbacksAreTheirActors } from './live.ts'
import { messagesOnceInOrder } from './messages.ts'
import { chunksAreGivenOnce, lateWorkersAreRefused, movesAreSettled } from './moves.ts'
import { oneWriter } from './one-writer.ts'
import { stepsAreThoseOfXState } from './reference-steps.ts'
import { refillIsWhole } from './refills.ts'
import { checkpointsEqualJournals, nothingNeededIsRemoved } from './removals.ts'
import { oneAttemptAtATime } from './tasks.ts'
import { timersOnceAndOnTime } from './timers.ts'

/** In the order in which a failure is told: the cause before what follows from it. */
export const CHECKERS: readonly Checker[] = [
  oneWriter,
  refillIsWhole,
  nothingNeededIsRemoved,
  checkpointsEqualJournals,
  publishedIsWhole,
  nobodyServesTooEarly,
  nothingBreaks,
  commitBeforeEffect,
  appliedOnce,
  acknowledgedIsThere,
  refusalsAreTrue,
  readsAreCommitted,
  readsAreFresh,
  listsAreTrue,
  messagesOnceInOrder,
  callbacksAreTheirActors,
  timersOnceAndOnTime,
  oneAttemptAtATime,
  stepsAreThoseOfXState,
  badInputChangesNothing,
  pausedStandsStill,
  resumeGoesOn,
  historyIsLinear,
  birthsAreNew,
  migratedOnce,
  nobodyDiesSilently,
  storesEqualJournals,
  chunksAreGivenOnce,
  lateWorkersAreRefused,
  movesAreSettled,
  everythingDrains,
]

export function check(events: readonly SimEvent[]): Violation[] {
  return CHECKERS.flatMap((checker) => checker(events))
}
