/**
 * Watching one actor. Decides: how what is told of it looks as server-sent events, and where a watcher that
 * comes back goes on. Leaves to others: that every turn is told once and in order (client/follow.ts).
 *
 * An id is `<created at>-<turn>`: turns of an actor that was deleted and started again are others.
 */
import type { Client, FollowedEvent, SeenTurn } from '../client/index.ts'
import { type ActorRow, type ActorView, TroupeError } from '../protocol/index.ts'
import type { ServerSentEvent } from './event-stream.ts'
import { maskRow } from './secrets.ts'

/** @throws TroupeError `malformed` for an id that this watch never gave */
export function seenOf(lastEventId: string | undefined): SeenTurn | undefined {
  if (lastEventId === undefined || lastEventId === '') return undefined
  const [, createdAt, turn] = /^(\d{1,15})-(\d{1,15})$/.exec(lastEventId) ?? []
  if (createdAt === undefined || turn === undefined) {
    const why = 'Last-Event-ID is not the id of an event of this watch, such as 1700000000000-3'
    throw new TroupeError('malformed', why)
  }
  return { createdAt: Number(createdAt), turn: Number(turn) }
}

/**
 * Ends when the actor is removed or the signal says so. The first step looks at the actor.
 * @throws TroupeError `unknown-actor`, or why the actor cannot be looked at
 */
export async function* watchActor(
  client: Pick<Client, 'follow'>,
  address: string,
  secrets: ReadonlySet<string>,
  after: SeenTurn | undefined,
  signal: AbortSignal,
): AsyncGenerator<ServerSentEvent, void, void> {
  const options = after === undefined ? {} : { after }
  for await (const event of client.follow(address, signal, options)) yield sentOf(event, secrets)
}

function sentOf(event: FollowedEvent, secrets: ReadonlySet<string>): ServerSentEvent {
  const { address, turn } = event
  switch (event.kind) {
    case 'removed':
      return { event: 'removed', data: { address, turn } }
    case 'emitted':
      return { event: 'emitted', data: { address, turn, event: event.event } }
    case 'state':
      return {
        event: event.isReset ? 'reset' : 'state',
        data: maskRow(rowOf(event.view), secrets),
        id: idOf(event),
      }
    case 'transition': {
      const { cause, from, to, status } = event
      const data = { address, turn, cause, from, to, ...(status === undefined ? {} : { status }) }
      return { event: 'transition', data, id: idOf(event) }
    }
  }
}

function idOf({ createdAt, turn }: SeenTurn): string {
  return `${createdAt}-${turn}`
}

/** The actor as lists show it. */
export function rowOf(view: ActorView): ActorRow {
  const { address, machine, version, status, value, tags, turn } = view
  const { createdAt, updatedAt, since, paused, parked, index } = view
  const row: ActorRow = {
    address,
    machine,
    version,
    status,
    value,
    tags,
    turn,
    createdAt,
    updatedAt,
    since,
    paused: paused !== undefined,
    parked: parked !== undefined,
    index,
  }
  const reason = reasonOf(view)
  return reason === undefined ? row : { ...row, reason }
}

function reasonOf({ paused, parked, tasks }: ActorView): string | undefined {
  if (parked) return `parked by ${parked.cause}: ${parked.error.message}`
  if (paused) return `paused by ${paused.by}${paused.reason ? `: ${paused.reason}` : ''}`
  const waiting = tasks.find(({ state }) => state === 'waiting')
  if (waiting) return `task ${waiting.name} failed: ${waiting.lastFailure}; next attempt follows`
  const queued = tasks.find(({ state }) => state === 'queued')
  return queued ? `task ${queued.name} waits in ${queued.queue}` : undefined
}
