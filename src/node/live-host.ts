/**
 * Runs callbacks and observables beside the owner of their actor.
 *
 * Decides: each runs under an XState actor of its own that forwards whatever it sends. They are not
 * durable: they begin anew with a new owner, and what they send is an ordinary event.
 */
import { type AnyActor, createActor, createMachine } from 'xstate'
import type { Log } from '../ports/index.ts'
import type { EventObject } from '../protocol/index.ts'
import type { LiveHost } from '../shard/index.ts'

export type LiveEventSink = (
  shard: number,
  address: string,
  effectId: string,
  event: EventObject,
) => void

/** XState's snapshot of an observable holds its subscription: only what can be stored is handed on. */
function withPlainSnapshot(event: EventObject): EventObject {
  const { snapshot } = event
  const isSnapshot = event.type.startsWith('xstate.snapshot.')
  if (!isSnapshot || typeof snapshot !== 'object' || snapshot === null) return event
  const { status, context, output, error } = snapshot as Record<string, unknown>
  return { ...event, snapshot: { status, context, output, error } }
}

export class LiveActors implements LiveHost {
  readonly #running = new Map<string, AnyActor>()
  readonly #forward: LiveEventSink
  readonly #log: Log

  constructor(forward: LiveEventSink, log: Log) {
    this.#forward = forward
    this.#log = log
  }

  start(child: Parameters<LiveHost['start']>[0]): void {
    const { shard, address, childId, effectId, logic, input } = child
    if (this.#running.has(effectId)) return
    const forward = ({ event }: { event: EventObject }) => {
      if (event.type.startsWith('xstate.init')) return
      this.#forward(shard, address, effectId, withPlainSnapshot(event))
    }
    const host = createMachine({
      id: 'live',
      invoke: {
        src: logic,
        id: childId,
        input: () => input as never,
        onSnapshot: { actions: forward },
      },
      on: { '*': { actions: forward } },
    } as unknown as Parameters<typeof createMachine>[0])
    try {
      const actor = createActor(host)
      this.#running.set(effectId, actor)
      actor.start()
    } catch (thrown) {
      const message = thrown instanceof Error ? thrown.message : String(thrown)
      this.#log.error(
        { address, childId, error: message },
        'a callback or observable failed to start',
      )
      this.#forward(shard, address, effectId, {
        type: `xstate.error.actor.${childId}`,
        error: { message },
        actorId: childId,
      })
    }
  }

  send(effectId: string, event: EventObject): void {
    const children = this.#running.get(effectId)?.getSnapshot().children as
      | Record<string, AnyActor>
      | undefined
    for (const child of Object.values(children ?? {})) child.send(event)
  }

  stop(effectId: string): void {
    this.#running.get(effectId)?.stop()
    this.#running.delete(effectId)
  }

  stopAll(): void {
    for (const effectId of [...this.#running.keys()]) this.stop(effectId)
  }
}
