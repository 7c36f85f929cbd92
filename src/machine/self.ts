/**
 * An actor's own address, for its chart. Decides: that a chart asks for it by this function, and not by
 * `self.sessionId`, which holds it here but anything else in plain XState.
 */
import { InertRef } from './scope.ts'

/**
 * The address of the actor that takes the step, `<machine>/<id>` or `<machine>/<id>/<child>`: what others
 * can `tell`. It is the same for as long as the actor is known.
 *
 *     tell(({ self }) => ({ to: 'pool/builds', event: { type: 'ACQUIRE', holder: addressOf(self) } }))
 *
 * @param self as XState hands it to actions, guards and inputs
 */
export function addressOf(self: { readonly sessionId: string }): string {
  if (self instanceof InertRef) return self.sessionId
  throw new Error('addressOf() knows an address only in a machine that Troupe hosts')
}
