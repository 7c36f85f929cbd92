/** How actors stand, in the words that the verbs of background tasks show. */
import type { ActorRow, ActorView, StateValue } from '../../../../src/index.ts'

export type Condition = 'active' | 'paused' | 'parked' | 'finished'

/** An operator's pause and a fault of the platform's come before what the actor says of itself. */
export function conditionOf(actor: Pick<ActorView | ActorRow, 'status' | 'paused' | 'parked'>) {
  const condition: Condition = actor.parked
    ? 'parked'
    : actor.paused
      ? 'paused'
      : actor.status === 'active'
        ? 'active'
        : 'finished'
  return condition
}

/** `prepared.queued`: of a state with states in it, where it is. */
export function positionOf(value: StateValue): string {
  if (typeof value === 'string') return value
  const [[name, inner] = ['', '']] = Object.entries(value)
  return `${name}.${positionOf(inner as StateValue)}`
}
