/**
 * Addresses of actors in URLs. Decides: how a path names an actor, its children and what is asked.
 *
 *     /actors/<machine>/<id>                               an actor
 *     /actors/<machine>/<id>/children/<child>              its child; and so on downwards
 *     /actors/<machine>/<id>[/children/<child>…]/<verb>    something about it
 *
 * Each part is percent-encoded by itself, so an id may hold slashes, and a child may be named like
 * a verb: what follows `children/` is always a name.
 */
import { type AddressText, formatAddress, type Limits, TroupeError } from '../protocol/index.ts'

export interface ActorPath {
  address: AddressText
  /** `send`, `history`, …; empty for the actor itself. */
  verb: string
}

/**
 * @param rest the raw path behind `/actors/`
 * @throws TroupeError `invalid-address`, or `not-found` when the path has no such form
 */
export function readActorPath(rest: string, limits: Limits): ActorPath {
  const [machine = '', id, ...parts] = rest.split('/').map(decodePart)
  if (id === undefined)
    throw new TroupeError(
      'not-found',
      `there is nothing at /actors/${machine}: an actor is /actors/<machine>/<id>`,
    )
  const children: string[] = []
  while (parts[0] === 'children' && parts.length > 1) {
    children.push(parts[1] ?? '')
    parts.splice(0, 2)
  }
  const [verb = '', ...more] = parts
  if (more.length > 0) {
    throw new TroupeError(
      'not-found',
      `the path goes on behind "${verb}"; a child is /actors/<machine>/<id>/children/<child>, and a slash inside an id is written %2F`,
    )
  }
  return { address: formatAddress(machine, id, children, limits), verb }
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch (cause) {
    throw new TroupeError('invalid-address', 'a percent sign must begin an escape such as %2F', {
      cause,
    })
  }
}
