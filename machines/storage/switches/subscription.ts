/**
 * How an actor comes to be told of switches. Decides: what it sends, and how it learns that nobody heard that: the
 * switches may be younger than whoever asks. Leaves to others: when it asks again.
 */
import type { EventObject } from '../../../src/index.ts'
import { SWITCHES_ADDRESS } from './storage-switches.ts'
import type { SwitchName } from './switch-names.ts'

/** @param address of who subscribes: it is told how these stand, and of every change */
export function subscriptionTo(
  names: readonly SwitchName[],
  address: string,
): { to: string; event: EventObject } {
  return { to: SWITCHES_ADDRESS, event: { type: 'SUBSCRIBE', address, names: [...names] } }
}

/** To be sent again in a while. */
export function isUnheardSubscription(event: { type: string }): boolean {
  if (event.type !== 'troupe.deadLetter') return false
  return (event as { event?: { type?: string } }).event?.type === 'SUBSCRIBE'
}
