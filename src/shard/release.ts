/**
 * Lets the effects of a committed batch out. Decides: through which port each goes. What fails here
 * is logged: the rows that matter are in the store and are found again.
 */
import { pack, toJson } from '../protocol/index.ts'
import type { Release } from './batch.ts'
import type { ShardContext } from './context.ts'
import type { EngineDeps } from './engine-deps.ts'
import type { TaskBoard } from './task-board.ts'

export function release(
  deps: EngineDeps,
  context: ShardContext,
  board: TaskBoard,
  effect: Exclude<Release, { kind: 'timer' }>,
): void {
  switch (effect.kind) {
    case 'publish-task':
      return board.publish(effect.message)
    case 'cancel-task':
      return deps.transport.publish(deps.subjects.cancel(effect.worker), pack(effect.taskId))
    case 'transition': {
      // Texts and numbers only, which need no form of their own; and it is said of every turn.
      const { kind, address, createdAt, turn, cause, from, to, status } = effect
      const message = { kind, address, createdAt, turn, cause, from, to, status }
      return announce(deps, address, () => JSON.stringify(message))
    }
    case 'removed':
      return announce(deps, effect.address, () => toJson(effect))
    case 'emit': {
      const { address, event, turn } = effect
      return announce(deps, address, () => toJson({ kind: 'emitted', address, event, turn }))
    }
    case 'action':
      return runAction(context, effect)
    case 'log':
      return context.log.info({ address: effect.address, value: effect.value }, 'log of a machine')
    case 'live-start': {
      const { kind: _kind, ...child } = effect
      return deps.live.start({ shard: deps.shard, ...child })
    }
    case 'live-send':
      return deps.live.send(effect.effectId, effect.event)
    case 'live-stop':
      return deps.live.stop(effect.effectId)
    case 'parked': {
      const { address, error, cause } = effect
      return context.log.warn(
        { address, cause, error: error.message },
        'an actor failed and is parked',
      )
    }
  }
}

/** JSON, since anybody may listen. Most transitions are watched by nobody: not even the subject is made then. */
function announce(deps: EngineDeps, address: string, text: () => string): void {
  if (!deps.transport.hears(deps.subjects.events())) return
  const subject = deps.subjects.event(address)
  if (deps.transport.hears(subject)) deps.transport.publish(subject, text())
}

/** A plain action of a machine is best effort; what it throws is its own. */
function runAction(context: ShardContext, effect: Release & { kind: 'action' }): void {
  try {
    effect.run()
  } catch (thrown) {
    const error = thrown instanceof Error ? thrown.message : String(thrown)
    context.log.error(
      { address: effect.address, action: effect.type, error },
      'an action of a machine failed after the commit',
    )
  }
}
